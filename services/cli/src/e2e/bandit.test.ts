import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { expectDone, surefoot, workFolder } from './testing';

let work: Awaited<ReturnType<typeof workFolder>>;
beforeAll(async () => {
  work = await workFolder();
});
afterAll(() => work.remove());

const bandit = (...words: string[]) => surefoot(['bandit', '--draws', '200', ...words], { cwd: work.path });

test('the cases that come with it: document, table, a file, a page and three figures a case', async () => {
  const ended = await bandit('--out', 'cases');
  expectDone(ended);
  expect(ended.stdout).toContain('P(worse)');
  const { cases, kl } = JSON.parse(await readFile(join(work.path, 'cases/bandit.json'), 'utf8'));
  expect(kl).toBe(0.2);
  expect(cases.map(({ name }: { name: string }) => name)).toEqual(['favourable', 'rare', 'unfavourable', 'equal']);
  const page = await readFile(join(work.path, 'cases/bandit.html'), 'utf8');
  expect(page).toContain('a mean KL of 0.2 nats to the reference, over 200 draws');
  expect(page.match(/<figure/g)).toHaveLength(12);
  const figures = (await readdir(join(work.path, 'cases'))).filter((name) => name.endsWith('.svg'));
  expect(figures).toHaveLength(12);
  for (const name of figures) {
    const svg = await readFile(join(work.path, 'cases', name), 'utf8');
    expect(svg).toMatch(/^<svg [^<>]*aria-label="[^<>]*><style>/);
    expect(svg).not.toMatch(/NaN|Infinity/);
  }
});

test("arms of one's own: every mode that can be at the KL asked for, equal reference by default", async () => {
  const ended = await bandit('--means', '-0.5,0,1,2', '--sds', '.1,.2,.3,.4', '--kl', '0.3', '--json');
  expectDone(ended);
  const { cases } = JSON.parse(ended.stdout);
  expect(cases).toHaveLength(1);
  expect(cases[0].bandit.reference).toEqual([0.25, 0.25, 0.25, 0.25]);
  // The exact mode keeps a larger KL than .3 from arms as uneven as these, however strong beta is.
  expect(cases[0].simulated).toHaveLength(6);
  for (const { kl, worse } of cases[0].simulated) {
    expect(Math.abs(kl - 0.3)).toBeLessThan(1e-5);
    expect(worse.p).toBeGreaterThanOrEqual(0);
  }
});

test('arms of equal value: no mode loses, and of none of 200 draws is said how often it could be', async () => {
  const ended = await bandit('--means', '1,1', '--sds', '.1,.3', '--kl', '0.2');
  expectDone(ended);
  // 1 - .025^(1/200); a step of (d, -d) is worth 0 - sqrt(2 ln 20) |d| sqrt(.01 + .09) at least.
  expect(ended.stdout).toMatch(/vanilla +[\d.]+ +0, at most 0\.018 /);
  const [, first, bound] = /vanilla .*? (0\.\d\d) 0\.\d\d +(-?\d\.\d{3})/.exec(ended.stdout)!;
  expect(Number(bound)).toBeCloseTo(-Math.sqrt(2 * Math.log(20) * 0.1) * Math.abs(Number(first) - 0.5), 1);
});

test('more arms than there are colours begin again with the first', async () => {
  expectDone(await bandit('--means', '1,2,3,4,5,6,7,8', '--sds', '1,1,1,1,1,1,1,1', '--out', 'eight'));
  const svg = await readFile(join(work.path, 'eight/own-policies.svg'), 'utf8');
  const used = [...svg.matchAll(/fill="var\((--series-\d+)\)"/g)].map(([, name]) => name!);
  expect(new Set(used).size).toBe(7);
  for (const name of used) expect(svg).toContain(`${name}:#`);
});

test('a policy that is simulated and one that is fixed stand in tables of their own', async () => {
  const { stdout } = await bandit('--means', '1,0', '--sds', '.1,.3');
  expect(stdout).toMatch(
    /simulated: in each of 200 draws .* at a mean KL of 0\.2\nmode +beta +P\(worse\) +mean gain +sd of gain\n/,
  );
  expect(stdout).toMatch(/one fixed policy: .*\nmode +policy +sure gain\n/);
  expect(stdout).toContain('x is the upper end of its 95 % interval');
  // Vanilla's direction is (.5, -.5), of value .5 and standard deviation .5 sqrt(.1); the plane's bound is 1 / sqrt(.1) = 3.16 sds.
  expect(stdout).toMatch(/P\(worse\) vanilla 0\.00078, variance-aware 0\.00078/);
});

test.each([
  // The reference gives the best arm .9: of all draws that is the largest KL, ln(1 / .9) = .105; ln(1 / .1) = 2.30 is that of the other arm.
  [['--means', '5,0', '--sds', '.1,.1', '--reference', '.9,.1', '--kl', '0.7'], '0.11 (2.30 for any policy)'],
  [['--kl', '50'], '1.1 (1.10 for any policy)'],
])('%j: a KL that no mode has is refused with the largest that one has', async (words, largest) => {
  const ended = await bandit(...words);
  expect(ended.status).toBe(2);
  expect(ended.stdout).toBe('');
  const line = ended.stderr.trim().split('\n').at(-1);
  expect(line).toContain('no mode has this mean KL to the reference at any beta');
  expect(line).toContain(`the largest is about ${largest}`);
});

test('modes that do not have the KL are named in one line', async () => {
  const ended = await bandit('--means', '-0.5,0,1,2', '--sds', '.1,.2,.3,.4', '--kl', '0.3');
  expectDone(ended);
  expect(ended.stdout).toContain('no beta has a mean KL of 0.3 for variance-weighted-kl-exact\n');
});

test.each([
  [['--means', '1,2'], 2, 'arms of your own need both --means and --sds'],
  [['--means', '1,x', '--sds', '1,1'], 2, 'must be a finite number'],
  [['--means', '1,2', '--sds', '1,1,1'], 2, '--sds has 3 numbers, and --means 2: one for each arm'],
  [['--means', '1,2', '--sds', '1,1', '--reference', '.2,.3,.5'], 2, '--reference has 3 numbers, and --means 2'],
  [['--means', '1,2', '--sds', '0,1'], 2, '--sds must be above 0'],
  [['--means', '1,2', '--sds', '1,-1'], 2, '--sds must be above 0'],
  [['--means', '1,2', '--sds', '0,0'], 2, 'surefoot: --sds must be above 0 (see'],
  [['--means', '1,2', '--sds', '1,1', '--reference', '.5,.6'], 2, '--reference must sum to 1, not 1.1'],
])('%j is refused', async (words, status, message) => {
  const ended = await bandit(...words);
  expect(ended.stderr).toContain(message);
  expect(ended.status).toBe(status);
});
