import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { writeReport } from './report';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'surefoot-pool-'));
});
afterEach(() => rm(root, { recursive: true }));

interface Experiment {
  methods: (string | { name: string; mode: string; [key: string]: unknown })[];
  /** By block. */
  digests: Record<string, string>;
  seed?: number;
  runs?: number;
  /** How many of the planned runs have ended. */
  ended?: number;
  judge?: string;
  judgeDigest?: string;
}

/** An experiment whose gains depend on method, block digest and seed alone, as those of real ones do. */
async function experiment(name: string, { methods, digests, seed = 1000, runs = 5, ...more }: Experiment) {
  const folder = join(root, name);
  await mkdir(folder, { recursive: true });
  const blocks = Object.keys(digests);
  const { judge = 'judge', judgeDigest = 'j' } = more;
  const content = {
    ...{ name, policy: 'task/base', judge, gold: 'task/gold.json', prompts: 'task/prompts.jsonl' },
    blocks: blocks.map((block) => ({ name: block, ensemble: `ensembles/${block}` })),
    ...{ methods, runs, seed },
    resolved: {
      members: Object.fromEntries(blocks.map((block) => [block, 5])),
      digests: { policy: 'p', prompts: 'q', evalPrompts: 'q', gold: 'g', judge: judgeDigest, ensembles: digests },
    },
  };
  await writeFile(join(folder, 'experiment.yaml'), stringify(content));
  const lines = blocks.flatMap((block, b) =>
    Array.from({ length: runs }, (_, run) =>
      methods.map((method, m) => {
        const label = typeof method === 'string' ? method : method.name;
        const own = Math.sin(label.length * 7 + digests[block]!.charCodeAt(0) * 3 + (seed + run) * 5);
        return {
          ...{ method: label, block, run, index: (b * runs + run) * methods.length + m, member: run % 5 },
          ...{ seed: seed + run, status: 'completed', iterations: 1, trajectory: {}, seconds: Math.random() },
          ...{ initial: { gold: 0 }, final: { gold: own, kl: 3 } },
        };
      }),
    ).flat(),
  );
  const text = lines.slice(0, more.ended).map((line) => `${JSON.stringify(line)}\n`);
  await writeFile(join(folder, 'runs.jsonl'), text.join(''));
  return folder;
}

const four = { 'data-11': 'a', 'data-12': 'b' };
const headline: Experiment = { methods: ['vanilla', 'variance-weighted-kl'], digests: four };
const reportOf = async (...folders: string[]) => (await writeReport(folders)).report;

describe('methods of a second folder', () => {
  test('on the same data sets, seeds and members are compared with vanilla of the first, pair by pair', async () => {
    const first = await experiment('headline', headline);
    const modes = await experiment('modes', { methods: ['uwo', 'wco'], digests: four });
    const report = await reportOf(first, modes);
    const together = await experiment('together', { ...headline, methods: [...headline.methods, 'uwo', 'wco'] });
    const { comparisons, warnings } = await reportOf(together);
    // As in one experiment that has them all.
    expect(report.comparisons).toEqual(comparisons);
    expect(report.comparisons.map(({ b, pairs, rewardModels }) => [b, pairs, rewardModels])).toEqual(
      ['variance-weighted-kl', 'uwo', 'wco'].map((b) => [b, 10, 10]),
    );
    expect(report.warnings).toEqual(warnings);
    const page = await readFile(join(first, 'report.html'), 'utf8');
    expect(page).toContain('uwo, data-11, run 0');
  });
  test('under other names of the blocks too, and not on other data sets', async () => {
    const first = await experiment('headline', headline);
    const renamed = await experiment('modes', { methods: ['uwo'], digests: { one: 'a', two: 'z' } });
    const report = await reportOf(first, renamed);
    expect(report.comparisons.map(({ b, pairs }) => [b, pairs])).toEqual([['variance-weighted-kl', 10], ['uwo', 5]]); // prettier-ignore
    expect(report.methods['uwo']!.blocks.map(({ block }) => block)).toEqual(['data-11', 'modes/two']);
  });
  test('with other seeds are other runs of the same reward models: the bootstrap draws these whole', async () => {
    const first = await experiment('headline', headline);
    const again = await experiment('again', { ...headline, seed: 2000 });
    const { methods, comparisons } = await reportOf(first, again);
    expect(comparisons[0]).toMatchObject({ pairs: 20, rewardModels: 10, pairedGain: { overBlocks: { blocks: 2 } } });
    expect(methods['vanilla']!.blocks).toMatchObject([{ block: 'headline/data-11', n: 10 }, { n: 10 }]);
  });
});

describe('methods of a second folder that are evaluated otherwise', () => {
  test.each([{ evaluationSeed: 8 }, { evaluationSamples: 4096 }, { maxNewTokens: 20 }, { temperature: 0.7 }])(
    'by %j are no pairs of those of the first, and the report says so',
    async (evaluation) => {
      const first = await experiment('headline', headline);
      const modes = await experiment('modes', {
        methods: [{ name: 'uwo', mode: 'uwo', ...evaluation }],
        digests: four,
      });
      const { comparisons, warnings } = await reportOf(first, modes);
      expect(comparisons.map(({ b, pairs }) => [b, pairs])).toEqual([['variance-weighted-kl', 10], ['uwo', 0]]); // prettier-ignore
      expect(warnings).toContain(
        `uwo and vanilla are evaluated with other ${Object.keys(evaluation)[0]}: gains of the one are not those of the other`,
      );
    },
  );
  test('in one folder too', async () => {
    const methods = ['vanilla', { name: 'uwo', mode: 'uwo', temperature: 0.7, evaluationSeed: 8 }];
    expect((await reportOf(await experiment('one', { ...headline, methods }))).warnings).toContain(
      'uwo and vanilla are evaluated with other evaluationSeed, temperature: gains of the one are not those of the other',
    );
  });
});

describe('refused', () => {
  test.each<[string, (folder: string) => Promise<string[]>]>([
    ['the same folder under two names', async (folder) => [folder, join(folder, '..', 'headline', '.')]],
    ['a copy', async (folder) => [folder, await experiment('copy', headline)]],
    ['a copy with fewer runs', async (folder) => [folder, await experiment('copy', { ...headline, ended: 3 })]],
  ])('%s, both named', async (_, foldersOf) => {
    const folders = await foldersOf(await experiment('headline', headline));
    await expect(writeReport(folders)).rejects.toMatchObject({
      kind: 'invalid_argument',
      message: expect.stringContaining(`${folders[0]} and ${folders[1]} hold the same runs (vanilla, seed 1000`),
    });
  });
  test('a copy of the runs alone', async () => {
    const first = await experiment('headline', headline);
    const copy = join(root, 'copy');
    await mkdir(copy);
    await writeFile(join(copy, 'runs.jsonl'), await readFile(join(first, 'runs.jsonl')));
    await expect(writeReport([first, copy])).rejects.toMatchObject({
      message: expect.stringContaining('hold the same runs'),
    });
  });
  test('a method that is another one in the second folder', async () => {
    const first = await experiment('headline', headline);
    const other = await experiment('other', {
      ...{ methods: [{ name: 'vanilla', mode: 'vanilla', beta: 0.7, klPlacement: 'terminal' }] },
      ...{ digests: { 'data-15': 'e' } },
    });
    await expect(writeReport([first, other])).rejects.toMatchObject({
      kind: 'invalid_argument',
      message: `vanilla is another method in ${first} than in ${other}: beta, klPlacement differ, so its runs cannot be counted together`,
    });
  });
});

describe('warned of', () => {
  test('runs that have not ended yet', async () => {
    const { warnings } = await reportOf(await experiment('part', { ...headline, ended: 7 }));
    expect(warnings).toContain('7 of 20 planned runs have ended: the figures are those so far');
  });
  test('methods that pay the KL penalty in different places; the page says which do', async () => {
    const aware = { name: 'aware', mode: 'variance-weighted-kl', klPlacement: 'terminal' };
    const folder = await experiment('mixed', { ...headline, methods: ['vanilla', aware] });
    const { comparisons, warnings } = await reportOf(folder);
    expect(comparisons).toMatchObject([{ b: 'aware', verdict: 'not comparable' }]);
    expect(warnings).toContain(
      'aware and vanilla pay the KL penalty in different places (klPlacement terminal and token): what differs may be due to that',
    );
    const page = await readFile(join(folder, 'report.html'), 'utf8');
    expect(page).toContain('klPlacement is token for vanilla. klPlacement is terminal for aware.');
  });
  test.each([
    [{ judgeDigest: 'b' }, 'data-12'],
    [{ judge: 'ensembles/data-11/member-3' }, 'data-11'],
  ])('a judge that is of the reward models: %j', async (judge, block) => {
    expect((await reportOf(await experiment('judged', { ...headline, ...judge }))).warnings).toContain(
      `the judge is of the reward models of ${block}: what they get wrong, it does not see`,
    );
  });
  test('folders that are measured by something else', async () => {
    const first = await experiment('headline', headline);
    const other = await experiment('other', { ...headline, digests: { 'data-15': 'e' }, judgeDigest: 'k' });
    expect((await reportOf(first, other)).warnings).toContain(
      'headline and other differ in judge: gains of the one are not those of the other',
    );
  });
});
