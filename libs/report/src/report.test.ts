import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { riskReport, type RunRecord } from '@surefoot/risk';
import { parseHTML } from 'linkedom';
import { disagreementFigures, readRuns, renderReport, writeReport, type ReportContent } from './index';
import { exampleDisagreement, exampleRuns, exampleSamples } from './testing';

const options = { replicates: 50 };
const content = (runs: RunRecord[], more: Partial<ReportContent> = {}): ReportContent => ({
  title: 'example',
  report: riskReport(runs, options),
  runs,
  ...more,
});
const full = content(exampleRuns(40), {
  disagreement: exampleDisagreement(),
  samples: exampleSamples,
  config: { name: 'example', runs: 10 },
});

/** The page as a browser sees it; the types of a browser are not compiled in. */
function parse(page: string) {
  const { document } = parseHTML(page);
  const all = (selector: string) => [...document.querySelectorAll(selector)];
  return { document, all, texts: (selector: string) => all(selector).map((element) => element.textContent ?? '') };
}

describe('a whole report', () => {
  let page: string;
  beforeEach(async () => {
    page ??= await renderReport(full);
  });

  test('opens with no network and no script', () => {
    const { all } = parse(page);
    expect(all('script, link, iframe, img, [src], [href]')).toEqual([]);
    expect(page.replaceAll('http://www.w3.org/2000/svg', '')).not.toMatch(/https?:|url\(|@import/);
  });
  test('says the verdict of report.json first', () => {
    expect(parse(page).texts('.headline')).toEqual(['variance-weighted-kl is steadier than vanilla.']);
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
      'How far apart on all texts',
    ]);
  });
  test('draws a line for every run and a mark for every gain', () => {
    const [vanilla, , gains] = parse(page).all('figure > svg');
    expect(vanilla?.querySelectorAll('path[stroke-width="0.8"], g[stroke-width="0.8"] path')).toHaveLength(40);
    expect(gains?.querySelectorAll('circle, g[stroke="var(--paper)"] path').length).toBeGreaterThanOrEqual(80);
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
    expect(all('table').every((table) => table.querySelector('caption'))).toBe(true);
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

describe('texts of users', () => {
  const hostile = `</style><script>alert(1)</script>"'><img src=x onerror=alert(1)>&amp;`;
  test('stay text wherever they stand', async () => {
    const runs = exampleRuns(3, [hostile, `${hostile}2`]).map((run) => ({ ...run, block: hostile }));
    const page = await renderReport(
      content(runs, {
        title: hostile,
        config: hostile,
        disagreement: { texts: [{ id: hostile, scores: [0, 1], range: 1 }] },
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
    expect(all('script, img, [onerror]')).toEqual([]);
    expect(page.match(/<(script|img)/g)).toBeNull();
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
    expect(page).not.toMatch(/NaN|Infinity|undefined|null|\[object/);
    expect(parse(page).texts('.headline').length).toBeGreaterThan(0);
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
  test('a folder that does not exist is not_found', async () => {
    await expect(writeReport(join(folder, 'none', 'report.html'), content(exampleRuns(1)))).rejects.toMatchObject({
      kind: 'not_found',
    });
  });
});

describe('disagreementFigures', () => {
  test('the widest text and the histogram, each a file that opens alone', async () => {
    const figures = await disagreementFigures(exampleDisagreement());
    expect(figures.map(({ name }) => name)).toEqual(['members.svg', 'ranges.svg']);
    for (const { svg } of figures)
      expect(svg).toMatch(/^<svg [^>]*xmlns="http:\/\/www.w3.org\/2000\/svg"[^>]*><style>/);
    const { texts } = exampleDisagreement();
    const widest = texts.toSorted((a, b) => b.range - a.range)[0]?.id as string;
    expect(figures[0]?.caption).toContain(`(${widest})`);
  });
  test('a text can be chosen, and must be there', async () => {
    const [members] = await disagreementFigures(exampleDisagreement(), { id: 'text-3' });
    expect(members?.caption).toContain('(text-3)');
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
  test('members that agree, and a single text, can be drawn', async () => {
    const figures = await disagreementFigures({ texts: [{ id: 'a', scores: [1, 1], range: 0 }] });
    expect(figures.map(({ name }) => name)).toEqual(['members.svg']);
    expect(figures[0]?.svg).not.toMatch(/NaN|Infinity/);
  });
});
