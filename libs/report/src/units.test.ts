// A judge's scores may be of the order of .004, and a trajectory may have two iterations.
import { beforeAll, describe, expect, test } from '@jest/globals';
import { riskReport, type RunRecord } from '@surefoot/risk';
import { parseHTML } from 'linkedom';
import { renderReport } from './index';
import { exampleDisagreement, exampleRuns, exampleSamples } from './testing';

const unit = 0.002;
const small = (values?: number[]) => values?.map((value) => unit * value);
const smallPolicy = <Policy extends object>(policy: Policy): Policy => ({
  ...policy,
  ...Object.fromEntries(
    Object.entries(policy).flatMap(([name, value]) => (name === 'kl' ? [] : [[name, unit * Number(value)]])),
  ),
});
const inSmallUnits = (run: RunRecord): RunRecord => {
  const trajectory = { ...run.trajectory, gold: small(run.trajectory.gold) };
  if (run.status !== 'completed') return { ...run, trajectory };
  return { ...run, trajectory, initial: smallPolicy(run.initial), final: smallPolicy(run.final) };
};
const smallRuns = exampleRuns(40).map(inSmallUnits);
const example = exampleDisagreement();
const smallTexts = (texts: typeof example.texts) =>
  texts.map((text) => ({ ...text, scores: small([...text.scores])!, range: unit * text.range }));
const smallDisagreement = {
  ...example,
  texts: smallTexts(example.texts),
  against: { ...example.against!, texts: smallTexts(example.against!.texts) },
  distance: {
    ...example.distance!,
    groups: example.distance!.groups.map((group) => ({
      ...group,
      median: unit * group.median,
      quartiles: [unit * group.quartiles[0], unit * group.quartiles[1]] as const,
    })),
  },
};
const smallSamples = exampleSamples.map((run) => ({
  ...run,
  gain: unit * run.gain,
  responses: run.responses.map(({ before, after, ...response }) => ({
    ...response,
    before: { ...before, value: unit * before.value! },
    after: { ...after, value: unit * after.value! },
  })),
}));

async function parse(runs: RunRecord[], more: object = {}) {
  const report = riskReport(runs, { replicates: 50 });
  const { document } = parseHTML(await renderReport({ title: 'example', report, runs, ...more }));
  return { report, all: (selector: string) => [...document.querySelectorAll(selector)] };
}
type Page = Awaited<ReturnType<typeof parse>>;
type Part = ReturnType<Page['all']>[number];

describe('scores of the order of .004', () => {
  let page: Page;
  beforeAll(async () => {
    page = await parse(smallRuns, { disagreement: smallDisagreement, samples: smallSamples });
  });
  const section = (heading: string) =>
    page.all('main section').find((each) => each.querySelector('h2')?.textContent === heading)!;
  const table = (caption: string) => page.all('table').find((each) => each.textContent?.includes(caption))!;

  test.each([
    'What each method came to',
    'From start to end',
    'Where the runs ended',
    'How much the reward models disagree',
    'Before and after',
  ])('are not rounded to nothing: %s', (heading) => {
    const labels = [...section(heading).querySelectorAll('[aria-label]')].map((part) =>
      part.getAttribute('aria-label'),
    );
    const words = [section(heading).textContent, ...labels].join('\n');
    // Ticks have the decimals that they need; what is at a distance of 0 is at 0.00.
    expect(words.match(/.*[^0-9]0\.00(?![0-9]).*/g)?.filter((line) => !line.includes('distance')) ?? []).toEqual([]);
  });
  test('the cells of a column share their decimals, and those of gains show two digits of what they vary by', () => {
    const [first, second] = [...table('Methods: gains').querySelectorAll('tbody tr')].map((row) =>
      [...row.querySelectorAll('td')].map((cell) =>
        [...cell.textContent!.matchAll(/\.(\d+)/g)].map(([, digits]) => digits!.length),
      ),
    ) as [number[][], number[][]];
    expect(first).toEqual(second);
    const smallest = Math.min(...Object.values(page.report.methods).map(({ gain }) => gain.ci95![1] - gain.ci95![0]));
    expect(first[2]).toEqual(Array.from({ length: 3 }, () => 1 - Math.floor(Math.log10(smallest))));
    const gains = [...table('Runs: gain').querySelectorAll('tbody tr')].map(
      (row) => row.querySelectorAll('td')[4]!.textContent!.length,
    );
    expect(new Set(gains).size).toBe(1);
  });
  test('labels of the vertical axis have room', () => {
    const gridLine = (svg?: Part) => Number(/<line[^>]* x1="([\d.]+)"/.exec(svg?.outerHTML ?? '')?.[1]);
    const [chart] = page.all('figure > svg');
    expect(gridLine(chart)).toBeGreaterThan(44);
  });
});

describe('labels', () => {
  /** Where the labels of the horizontal axis stand, and how many letters each has. */
  const across = (svg: Part) =>
    [...svg.outerHTML.matchAll(/translate\(([\d.]+),[^"]*" y="0\.71em">([−\d.]+)</g)].map(([, x, words]) => ({
      x: Number(x),
      letters: words!.length,
    }));
  test('of long numbers there are fewer, so that none touches the next', async () => {
    const { all } = await parse(smallRuns.map(inSmallUnits));
    const axes = all('figure > svg').map(across);
    expect(axes.filter((axis) => axis.some(({ letters }) => letters >= 6)).length).toBeGreaterThan(2);
    for (const axis of axes)
      for (const [i, { x, letters }] of axis.slice(1).entries())
        expect(x - axis[i]!.x).toBeGreaterThan(6.5 * ((letters + axis[i]!.letters) / 2));
  });
  test('of long names are smaller, then without the middle, and end within the chart', async () => {
    const long = 'a-method-with-a-name-as-long-as-people-make-them-and-then-some';
    const { all } = await parse(exampleRuns(3, ['vanilla', long]));
    const own = all('figure svg text').filter(({ textContent }) => textContent!.startsWith('a-method'));
    expect(own.map(({ textContent }) => textContent)).toEqual([
      expect.stringMatching(/^a-method-with.*….*then-some: mean/),
      expect.stringMatching(/^a-method-with.*….*then-some: \d of 3/),
      expect.stringMatching(/^a-method-with.*….*then-some: mean/),
    ]);
    for (const { textContent } of own) expect(textContent!.length).toBeLessThanOrEqual(60);
    // What is left out is in the title of the chart and in the tables.
    expect(all('figure h3').map(({ textContent }) => textContent)).toContain(long);
  });
});

describe('few iterations', () => {
  test.each([1, 2, 5])('%i: a tick each, none between', async (iterations) => {
    const runs = exampleRuns(3).map((run) => ({
      ...run,
      trajectory: { gold: run.trajectory.gold?.slice(0, iterations), kl: run.trajectory.kl?.slice(0, iterations) },
    }));
    const { all } = await parse(runs);
    const charts = all('figure > svg').filter((svg) => svg.textContent?.includes('iteration'));
    expect(charts).toHaveLength(3);
    for (const chart of charts) {
      // The ticks of the horizontal axis are the last group of labels before its name.
      const labels = [...chart.querySelectorAll('text')].map(({ textContent }) => textContent);
      const end = labels.indexOf('iteration →');
      expect(labels.slice(end - iterations - 1, end)).toEqual([
        expect.not.stringMatching(/^\d$/),
        ...Array.from({ length: iterations }, (_, i) => `${i + 1}`),
      ]);
    }
  });
});

test('of one run, pair or iteration figures do not say that they are several', async () => {
  const runs = exampleRuns(1).map((run) => ({ ...run, trajectory: { gold: [0.1], kl: [0.2] } }));
  const { all } = await parse(runs);
  const words = [
    ...all('figure > svg').map((svg) => svg.getAttribute('aria-label')!),
    ...all('figcaption').map(({ textContent }) => textContent!),
  ];
  expect(words.some((each) => each.includes('1 run over 1 iteration;'))).toBe(true);
  for (const each of words) expect(each).not.toMatch(/(?<!\.)\b1 (runs|pairs|iterations)\b/);
});
