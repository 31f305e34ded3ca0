// Every number of report.json against scipy's: report-goldens/make.py made the runs and the reference, and states each formula.
import { cp, mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { expectDone, surefoot, workFolder } from './testing';

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** An end of a bootstrap interval, and its standard error with 10,000 replicates. */
interface Estimate {
  value: number;
  error: number;
}

// A number agrees to a millionth of itself, and to 1e-6 where it is larger than 1.
const tolerance = 1e-6;
// Of the Monte Carlo errors of an end of a bootstrap interval.
const mostErrors = 3;

const fixtures = join(__dirname, 'report-goldens');
let work: Awaited<ReturnType<typeof workFolder>>;
let folder: string;
let report: Record<string, Json>;
let reference: Record<string, Json>;
beforeAll(async () => {
  work = await workFolder();
  folder = join(work.path, 'runs-by-hand');
  await mkdir(folder);
  await cp(join(fixtures, 'runs.jsonl'), join(folder, 'runs.jsonl'));
  const ended = await surefoot(['report', folder, '--json'], { cwd: work.path });
  expectDone(ended);
  report = JSON.parse(ended.stdout);
  expect(JSON.parse(await readFile(join(folder, 'report.json'), 'utf8'))).toEqual(report);
  reference = JSON.parse(await readFile(join(fixtures, 'reference.json'), 'utf8')).report;
});
afterAll(() => work.remove());

test('--out - prints the page, with --json the document and nothing else, and leaves no file', async () => {
  const before = await readdir(work.path, { recursive: true });
  const print = async (...words: string[]) => {
    const ended = await surefoot(['report', folder, '--out', '-', ...words], { cwd: work.path });
    expectDone(ended);
    return ended.stdout;
  };
  expect(await print()).toBe(`${await readFile(join(folder, 'report.html'), 'utf8')}\n`);
  expect(JSON.parse(await print('--json'))).toEqual(report);
  expect(await readdir(work.path, { recursive: true })).toEqual(before);
});

test('report.json has a reference for all that it says, but for the words of the warnings', () => {
  const { warnings, ...said } = report;
  expect(warnings).toEqual(
    expect.arrayContaining([
      '1 cancelled run left out: vanilla data-13 7',
      'uwo: 1 of 48 runs failed; they count as worse and have no gain',
    ]),
  );
  const leaves = [...leavesOf(said)].map(([path]) => path).sort();
  expect(leaves).toEqual([...leavesOf(reference)].map(([path]) => path).sort());
  // Methods, comparisons and byJudge are there in full: three methods, two comparisons, by gold and by the judge.
  expect(leaves.length).toBeGreaterThan(300);
});

describe.each(['measure', 'initial', 'methods', 'comparisons', 'judgeAgainstGold', 'byJudge'])('%s', (part) => {
  test('agrees with scipy', () => {
    const said = new Map(leavesOf(report[part]!));
    const apart = [...leavesOf(reference[part]!)].flatMap(([path, expected]) => {
      const actual = said.get(path);
      return agrees(actual, expected) ? [] : [`${path}: ${String(actual)} is not ${JSON.stringify(expected)}`];
    });
    expect(apart).toEqual([]);
  });
});

function agrees(actual: unknown, expected: Json | Estimate): boolean {
  if (isEstimate(expected))
    return typeof actual === 'number' && Math.abs(actual - expected.value) <= mostErrors * expected.error;
  if (typeof expected !== 'number' || typeof actual !== 'number') return actual === expected;
  return Math.abs(actual - expected) <= tolerance * Math.min(1, Math.abs(expected));
}

/** Every value in it that is no list and no record, by its path; of a reference, estimates as they are. */
function* leavesOf(value: Json, path = ''): Generator<[path: string, leaf: Json | Estimate]> {
  if (typeof value !== 'object' || value === null || isEstimate(value)) yield [path, value];
  else for (const [key, each] of Object.entries(value)) yield* leavesOf(each, `${path}.${key}`);
}

function isEstimate(value: Json | Estimate): value is Estimate {
  return typeof value === 'object' && value !== null && 'error' in value;
}
