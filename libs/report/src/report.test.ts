import { createHash } from 'node:crypto';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { riskReport, type RunRecord } from '@surefoot/risk';
import { parseHTML } from 'linkedom';
import { disagreementFigures, readRuns, renderReport, writeReport, type ReportContent } from './index';
import { exampleBenchmark, exampleDisagreement, exampleRuns, exampleSamples } from './testing';

const options = { replicates: 50 };
const content = (runs: RunRecord[], more: Partial<ReportContent> = {}): ReportContent => ({
  title: 'example',
  report: riskReport(runs, options),
  runs,
  ...more,
});
const full = content(exampleRuns(40), {
  disagreement: exampleDisagreement(),
  rewardBench: exampleBenchmark(),
  samples: exampleSamples,
  config: { name: 'example', runs: 10 },
});

/** The page as a browser sees it; the types of a browser are not compiled in. */
function parse(page: string) {
  const { document } = parseHTML(page);
  const all = (selector: string) => [...document.querySelectorAll(selector)];
  return { document, all, texts: (selector: string) => all(selector).map((element) => element.textContent ?? '') };
}

type Part = ReturnType<ReturnType<typeof parse>['all']>[number];

describe('a whole report', () => {
  let page: string;
  beforeEach(async () => {
    page ??= await renderReport(full);
  });

  test('opens with no network; the one script is its own, and the only one that its policy lets run', () => {
    const { all, texts } = parse(page);
    expect(all('link, iframe, img, [src]')).toEqual([]);
    expect(all('[href]').every((link) => link.getAttribute('href')?.startsWith('#'))).toBe(true);
    expect(page.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|url\(|@import/);
    expect(texts('script')).toHaveLength(1);
    const digest = createHash('sha256')
      .update(/<script>(.*)<\/script>/s.exec(page)?.[1] as string)
      .digest('base64');
    expect(all('meta[http-equiv=Content-Security-Policy]')[0]?.getAttribute('content')).toBe(
      `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${digest}'`,
    );
  });
  test('links to every section', () => {
    const { all, document } = parse(page);
    const links = all('nav a');
    expect(links.length).toBeGreaterThan(7);
    for (const link of links)
      expect(document.getElementById(link.getAttribute('href')!.slice(1))?.textContent).toBe(link.textContent);
  });
  test('says the verdict of report.json first', () => {
    expect(parse(page).texts('.headline')).toEqual(['variance-weighted-kl is steadier than vanilla.']);
  });
  test('says how far the judge can be trusted: which runs it calls worse, and what it would have said', () => {
    const caption = parse(page)
      .all('figure')
      .find((figure) => figure.querySelector('h3')?.textContent === 'Judge against gold')
      ?.querySelector('figcaption')?.textContent;
    const { worse, comparisons } = full.report.byJudge!;
    expect(caption).toContain(
      `Worse than they began are ${worse.both + worse.goldOnly} of 80 runs by gold and ${worse.both + worse.judgeOnly} by the judge, ${worse.both} of them the same.`,
    );
    expect(caption).toContain(
      `By the judge alone, variance-weighted-kl against vanilla: ${comparisons[0]!.verdict}, variance ratio`,
    );
  });
  test('draws every figure', () => {
    expect(parse(page).texts('figure h3')).toEqual([
      'vanilla',
      'variance-weighted-kl',
      'Final gains',
      'Ended worse than they began',
      'variance-weighted-kl against vanilla, pair by pair',
      'Judge against gold',
      'KL over the iterations',
      'Final KL',
      'The members on one text',
      'Familiar texts and others',
      'The farther from the data, the farther apart?',
      'How alike the members rank',
      'RewardBench by section',
      'Accuracy when the doubtful items are left out',
      'Can its probabilities be believed?',
      'The uncertain arm is bad',
      'The uncertain arm is bad: what each mode chooses',
      'The uncertain arm is bad: what each mode gains',
      'The uncertain arm is the best',
      'The uncertain arm is the best: what each mode chooses',
      'The uncertain arm is the best: what each mode gains',
    ]);
  });
  test('draws a line for every run and a mark for every gain', () => {
    const [vanilla, , gains] = parse(page).all('figure > svg');
    expect(vanilla?.querySelectorAll('path[stroke-width="0.8"], g[stroke-width="0.8"] path')).toHaveLength(40);
    expect(gains?.querySelectorAll('circle, g[stroke="var(--paper)"] path').length).toBeGreaterThanOrEqual(80);
  });
  test('every run’s mark says which run it is, what it gained and how far it moved', () => {
    const [vanilla, , gains] = parse(page).all('figure > svg');
    const titles = (chart?: Part) => [...(chart?.querySelectorAll('title') ?? [])].map((title) => title.textContent);
    expect(titles(vanilla)).toHaveLength(40);
    expect(titles(gains)).toHaveLength(80);
    const { block, run, seed, ...first } = full.runs[0]!;
    if (first.status !== 'completed') throw new Error('the example run is not completed');
    const [gain, kl] = [first.final.gold! - first.initial.gold!, first.final.kl].map((value) => value.toFixed(2));
    const sign = Number(gain) < 0 ? '' : '+';
    const words = `vanilla, ${block}, run ${run} (seed ${seed}): gain ${sign}${gain}, KL ${kl}`.replaceAll(
      '-0.',
      '−0.',
    );
    expect(titles(vanilla)[0]).toBe(words);
    expect(titles(gains)).toContain(words);
  });
  test('cells carry the numbers that they are sorted by', () => {
    const { all } = parse(page);
    const [vanilla, other] = all('table')
      .find((each) => each.textContent?.includes('Methods: gains'))!
      .querySelectorAll('tbody tr');
    const of = (row?: Part) => [...(row?.querySelectorAll('td') ?? [])].map((cell) => cell.getAttribute('data-value'));
    expect(Number(of(vanilla)[2])).toBe(full.report.methods['vanilla']?.gain.mean);
    expect(Number(of(other)[3])).toBe(full.report.methods['variance-weighted-kl']?.gain.sd);
  });
  test('the runs of each data set stand by themselves, and the paired gain over data sets beside that over pairs', () => {
    const { all } = parse(page);
    const cells = (caption: string) =>
      [
        ...all('table')
          .find((each) => each.textContent?.includes(caption))!
          .querySelectorAll('tbody tr'),
      ].map((row) => [...row.querySelectorAll('th, td')].map((cell) => cell.textContent?.trim()));
    const rows = cells('Data sets: gains');
    expect(rows.map(([name, runs]) => [name, runs])).toEqual([
      ['vanilla, data-11', '20'],
      ['vanilla, data-12', '20'],
      ['variance-weighted-kl, data-11', '20'],
      ['variance-weighted-kl, data-12', '20'],
    ]);
    const { overBlocks } = full.report.comparisons[0]!.pairedGain;
    expect(cells('Comparisons of each method')[0]![4]).toContain(overBlocks!.mean.toFixed(2));
  });
  test('the texts on which members are farthest apart are shown, and those on which they agree', () => {
    const { texts: shown, all } = parse(page);
    const { texts } = exampleDisagreement();
    const byRange = texts.toSorted((a, b) => b.range - a.range);
    expect(shown('.response')).toEqual(
      [...byRange.slice(0, 3), ...byRange.slice(-3).reverse()].map(({ response }) => response),
    );
    expect(all('.strip')[0]?.querySelectorAll('circle')).toHaveLength(10);
  });
  test('RewardBench is there by member', () => {
    const rows = parse(page)
      .all('table')
      .find((each) => each.textContent?.includes('RewardBench by member'))!
      .querySelectorAll('tbody tr');
    expect([...rows].map((row) => row.querySelector('th')?.textContent)).toEqual([
      'mean',
      ...Array.from({ length: 10 }, (_, k) => `member ${k}`),
    ]);
  });
  test('can be read without seeing the charts', () => {
    const { document, all, texts } = parse(page);
    expect(document.documentElement.getAttribute('lang')).toBe('en');
    expect(
      all('figure > svg').every((svg) => svg.getAttribute('role') === 'img' && svg.getAttribute('aria-label')),
    ).toBe(true);
    expect(texts('figure figcaption').every((caption) => caption.length > 40)).toBe(true);
    expect(all('figure')).toHaveLength(all('figcaption').length);
    expect(all('th').every((th) => ['col', 'row'].includes(th.getAttribute('scope') ?? ''))).toBe(true);
    expect(all('table').every((each) => each.querySelector('caption'))).toBe(true);
    expect(all('main, header, footer')).toHaveLength(3);
    const levels = all('h1, h2, h3').map(({ tagName }) => Number(tagName.slice(1)));
    expect(levels.every((level, i) => level <= (levels[i - 1] ?? 0) + 1)).toBe(true);
    expect(levels.filter((level) => level === 1)).toHaveLength(1);
  });
  test('lists every run with its seed', () => {
    expect(parse(page).all('details tbody tr')).toHaveLength(80);
  });
  test('the same content gives the same bytes', async () => {
    expect(await renderReport(full)).toBe(page);
  });
});

describe('the ensembles of several blocks', () => {
  const section = async (more: Partial<ReturnType<typeof exampleDisagreement> & { ensembles: object[] }>) => {
    const disagreement = { ...exampleDisagreement(), ...more } as ReportContent['disagreement'];
    const { all } = parse(await renderReport(content(exampleRuns(40), { disagreement })));
    const found = all('main section').find((each) => each.querySelector('h2')?.textContent?.includes('disagree'))!;
    return { text: found.textContent!.replace(/\s+/g, ' '), table: found.querySelector('table') };
  };
  const ensemble = (name: string, medianRange: number, correlation: number | null) => ({
    name,
    members: 10,
    texts: 200,
    medianRange,
    widestRange: 2 * medianRange,
    correlation,
  });
  test('a line each, and whose the figures are', async () => {
    const { text, table } = await section({
      ensembles: [ensemble('data-11', 2.2, 0.4), ensemble('data-12', 0.012, null)],
    });
    expect(text).toContain('Figures and texts are those of one ensemble, that of data-11; the table has all.');
    expect(table?.querySelector('caption')?.textContent).toContain('the figures above are those of data-11');
    const rows = [...table!.querySelectorAll('tbody tr')].map((row) =>
      [...row.querySelectorAll('th, td')].map((cell) => cell.textContent!.trim()),
    );
    expect(rows).toEqual([
      ['data-11', '10', '200', '2.200', '4.400', '0.40'],
      ['data-12', '10', '200', '0.012', '0.024', '–'],
    ]);
  });
  test('where one alone was asked, that is said', async () => {
    const { text, table } = await section({});
    expect(text).toContain("Of the experiment's 2 ensembles, one was asked.");
    expect(table).toBeNull();
  });
});

describe('texts of users', () => {
  const hostile = `</style><script>alert(1)</script>"'><img src=x onerror=alert(1)>&amp;`;
  test('stay text wherever they stand', async () => {
    const runs = exampleRuns(3, [hostile, `${hostile}2`]).map((run) => ({ ...run, block: hostile }));
    const page = await renderReport(
      content(runs, {
        title: hostile,
        config: hostile,
        disagreement: {
          ...{ name: hostile, widest: [hostile], spearman: [[1, null]] },
          texts: [{ id: hostile, scores: [0, 1], range: 1, prompt: hostile, response: hostile }],
          against: { name: hostile, wider: 0.5, medianRatio: null, texts: [{ id: hostile, scores: [0, 1], range: 1 }] },
        },
        samples: [
          {
            title: hostile,
            method: hostile,
            block: hostile,
            run: 0,
            gain: 0,
            responses: [{ prompt: hostile, before: { text: hostile }, after: { text: hostile } }],
          },
        ],
      }),
    );
    const { all, texts } = parse(page);
    expect(all('script:not(:last-child), img, [onerror]')).toEqual([]);
    expect(page.match(/<(script|img)/g)).toHaveLength(1);
    expect(texts('h1, pre, .prompt, dd:last-child')).toEqual(expect.arrayContaining([hostile]));
    expect(texts('title')[0]).toBe(`${hostile} – Surefoot report`);
  });
});

describe('thin experiments', () => {
  const failed = (run: RunRecord): RunRecord => {
    const { method, block, index, member, seed, iterations } = run;
    return { method, block, run: run.run, index, member, seed, iterations, trajectory: {}, status: 'failed' };
  };
  const judged = (run: RunRecord): RunRecord =>
    run.status === 'completed'
      ? { ...run, initial: { judge: 0 }, final: { judge: 1, kl: 3 }, trajectory: { judge: [0, 1] } }
      : run;
  test.each<[string, RunRecord[]]>([
    ['three pairs', exampleRuns(3)],
    ['one run of each method', exampleRuns(1)],
    ['one method', exampleRuns(5, ['vanilla'])],
    ['nine methods', exampleRuns(2, 'abcdefghi'.split(''))],
    ['no oracle, and every gain the same', exampleRuns(3).map(judged)],
    ['every run failed', exampleRuns(2).map(failed)],
    ['one method failed', exampleRuns(3).map((run) => (run.method === 'vanilla' ? run : failed(run)))],
    ['no trajectories', exampleRuns(3).map((run) => ({ ...run, trajectory: {} }))],
  ])('%s: a page without numbers that do not exist', async (_, runs) => {
    const page = await renderReport(content(runs));
    expect(page.replace(/<script>.*<\/script>/s, '')).not.toMatch(/NaN|Infinity|undefined|null|\[object/);
    expect(parse(page).texts('.headline').length).toBeGreaterThan(0);
  });
  test('runs that failed are not said to be put below their start by an evaluation, nor to be in a median that they do not reach', async () => {
    const runs = exampleRuns(4).map((run): RunRecord =>
      run.run < 2
        ? { ...failed(run), iterations: 20, trajectory: { gold: run.trajectory.gold!.slice(0, 20), kl: [1] } }
        : { ...run, ...(run.status === 'completed' && { final: { ...run.final, gold: 9 } }) },
    );
    const captions = parse(await renderReport(content(runs))).texts('figcaption');
    expect(captions[0]).toContain('the final evaluation puts 0 of 2 below their start. 2 failed and have none.');
    expect(captions[0]).toContain(
      '2 of 4 runs end before iteration 60: after that, median and band are those of the others.',
    );
    expect(captions.find((caption) => caption.startsWith('How far the policies moved'))).toContain(
      'lie together. vanilla: 2 of 4 runs end before iteration 60',
    );
  });
  test('three pairs claim nothing', async () => {
    const page = await renderReport(content(exampleRuns(3)));
    expect(parse(page).texts('.headline')).toEqual([
      'Too few runs to tell whether variance-weighted-kl is steadier than vanilla: 3 completed pairs, and at least 30 are needed.',
    ]);
    expect(parse(page).texts('.warnings li')[0]).toContain('needs at least 30');
  });
});

describe('files', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'surefoot-report-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });
  test('report.json is the report that runs.jsonl gives again', async () => {
    const runs = exampleRuns(3);
    await writeFile(join(folder, 'runs.jsonl'), runs.map((run) => `${JSON.stringify(run)}\n`).join(''));
    await writeReport(join(folder, 'report.html'), content(runs));
    expect((await readdir(folder)).sort()).toEqual(['report.html', 'report.json', 'runs.jsonl']);
    const again = riskReport(await readRuns(join(folder, 'runs.jsonl')), options);
    expect(JSON.parse(await readFile(join(folder, 'report.json'), 'utf8'))).toEqual(again);
  });
  test.each([
    ['{"method"', 'runs.jsonl line 2: not JSON'],
    ['{"method":3}', 'runs.jsonl line 2: method must be a text, not 3'],
  ])('a bad line %s is named', async (line, message) => {
    await writeFile(join(folder, 'runs.jsonl'), `${JSON.stringify(exampleRuns(1)[0])}\n${line}\n`);
    await expect(readRuns(join(folder, 'runs.jsonl'))).rejects.toMatchObject({
      kind: 'invalid_argument',
      message: expect.stringContaining(message),
    });
  });
  test('a folder that does not exist is made', async () => {
    await writeReport(join(folder, 'none', 'report.html'), content(exampleRuns(1)));
    expect((await readdir(join(folder, 'none'))).sort()).toEqual(['report.html', 'report.json']);
  });
});

describe('disagreementFigures', () => {
  test('the widest text and the histogram, each a file that opens alone', async () => {
    const figures = await disagreementFigures(exampleDisagreement());
    expect(figures.map(({ name }) => name)).toEqual(
      ['members', 'ranges', 'against', 'distance', 'correlation'].map((name) => `${name}.svg`),
    );
    for (const { svg } of figures)
      expect(svg).toMatch(/^<svg [^>]*xmlns="http:\/\/www.w3.org\/2000\/svg"[^>]*><style>/);
    const { texts } = exampleDisagreement();
    const widest = texts.toSorted((a, b) => b.range - a.range)[0]?.id as string;
    expect(figures[0]?.caption).toContain(`(${widest})`);
  });
  test('a text can be chosen, and must be there', async () => {
    const [members] = await disagreementFigures(exampleDisagreement(), { id: 'response 3' });
    expect(members?.caption).toContain('(response 3)');
    await expect(disagreementFigures(exampleDisagreement(), { id: 'none' })).rejects.toMatchObject({
      kind: 'not_found',
    });
    await expect(disagreementFigures({ texts: [] })).rejects.toMatchObject({ kind: 'invalid_argument' });
  });
  test('is well-formed whatever the id', async () => {
    const [members] = await disagreementFigures({ texts: [{ id: '<a b="1">&\'', scores: [0, 1], range: 1 }] });
    expect(members?.svg).toContain('&lt;a b=&quot;1&quot;&gt;&amp;&#39;');
    expect(members?.svg).toMatch(/^<svg [^<>]*><style>/);
  });
  test('a large data set is drawn: 30,000 texts by ten members', async () => {
    const texts = Array.from({ length: 30_000 }, (_, i) => ({
      id: `${i}`,
      scores: Array.from({ length: 10 }, (__, k) => Math.sin(i * 10 + k)),
      range: 1 + Math.sin(i),
    }));
    expect(await disagreementFigures({ texts })).toHaveLength(2);
  });
  const textsOf = (ranges: number[]) => ranges.map((range, i) => ({ id: `${i}`, scores: [0, range], range }));
  test('ranges against others: both on one scale, and how often the wider one', async () => {
    const [, , against] = await disagreementFigures({
      name: 'new',
      texts: textsOf([1, 3, 4]),
      against: { name: 'fitted', texts: textsOf([2, 3]), wider: 0.58333, medianRatio: 1.2 },
    });
    expect(against?.svg).toContain('fitted (2 texts) median 2.50; new (3 texts) median 3.00');
    expect(against?.caption).toContain('wider than one on the former in 58 %');
    expect(against?.caption).toContain('1.20 times as large');
  });
  test('few ranges far beyond all others do not squeeze those together, and are named', async () => {
    const ranges = [...Array.from({ length: 200 }, (_, i) => 1 + i / 200), 50];
    const [, histogram] = await disagreementFigures({ texts: textsOf(ranges) });
    // The 99 % quantile of 201 values is that of rank 198, 1 + 198 / 200; a tenth above it ends the axis.
    expect(histogram?.caption).toContain(' 1 range lies beyond, up to 50.00, and is drawn at the end.');
    expect(histogram?.svg).toContain(`to ${(1.1 * 1.99).toFixed(2)}: `);
  });
  test('ranges far beyond all others are said to be those of the texts that have them', async () => {
    const fitted = [...Array.from({ length: 400 }, (_, i) => 1 + i / 400), 40, 50];
    const against = { name: 'fitted', texts: textsOf(fitted), wider: 0, medianRatio: null };
    const [, , figure] = await disagreementFigures({ name: 'new', texts: textsOf([1, 2]), against });
    expect(figure?.caption).toMatch(/ 2 ranges on fitted lie beyond, up to 50\.00, and are drawn at the end\.$/);
  });
  test('where few texts and ranges far beyond all others are one group, its median stands at the end of the axis', async () => {
    const ranges = [...Array.from({ length: 400 }, () => 1), 50, 50];
    const far = { from: 0.9, to: 0.9, texts: 2, median: 50, quartiles: [50, 50] as const };
    const distance = { from: 'the pairs', spearman: null, groups: [far] };
    const against = { name: 'fitted', texts: textsOf([50]), wider: 0, medianRatio: null };
    const figures = await disagreementFigures({ texts: textsOf(ranges), against, distance });
    const paths = (name: string) =>
      [...figures.find((figure) => figure.name === name)!.svg.matchAll(/ d="M(-?[\d.]+),(-?[\d.]+)/g)].map(
        ([, x, y]) => [Number(x), Number(y)] as const,
      );
    expect(Math.min(...paths('distance.svg').map(([, y]) => y))).toBeGreaterThanOrEqual(0);
    // Of the axis, which ends at 1.1: its last label.
    expect(figures.find(({ name }) => name === 'against.svg')!.svg).not.toContain('>50<');
  });
  test('correlations: a cell a pair of members, its number in it, none on the diagonal', async () => {
    const texts = [0, 1, 2].map((i) => ({ id: `${i}`, scores: [i, -i, 1], range: 2 }));
    const spearman = [
      [1, -1, null],
      [-1, 1, null],
      [null, null, null],
    ];
    const figures = await disagreementFigures({ texts, spearman });
    const { svg, caption } = figures.find(({ name }) => name === 'correlation.svg')!;
    expect([...svg.matchAll(/<title>(.*?)<\/title>/g)].map(([, title]) => title)).toEqual([
      'members 0 and 1: −1.00',
      'members 1 and 0: −1.00',
    ]);
    expect(caption).toContain('mean −1.00, from −1.00 to −1.00');
  });
  test('members that agree, and a single text, can be drawn', async () => {
    const figures = await disagreementFigures({ texts: [{ id: 'a', scores: [1, 1], range: 0 }] });
    expect(figures.map(({ name }) => name)).toEqual(['members.svg']);
    expect(figures[0]?.svg).not.toMatch(/NaN|Infinity/);
  });
});
