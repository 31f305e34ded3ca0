import { expect, test } from '@jest/globals';
import { resolvePpoConfig } from '@surefoot/ppo';
import { planRuns } from './plan';
import { createRunProgress, tenths } from './run-progress';
import type { RunLine } from './runs-file';

test.each([
  [1, []],
  [4, [1, 2, 3]],
  [60, [6, 12, 18, 24, 30, 36, 42, 48, 54]],
  [75, [8, 15, 23, 30, 38, 45, 53, 60, 68]],
])('of %i runs the table is due after %j', (runs, expected) => {
  expect([...tenths(runs)]).toEqual(expected);
});

test('what an earlier attempt left of runs that are done again is no part of the table', () => {
  const methods = [{ name: 'vanilla', ppo: resolvePpoConfig({ iterations: 2 }) }];
  const plan = planRuns({ blocks: [{ name: 'data' }], methods, runs: 3, seed: 1000 }, [1]);
  const notes: string[] = [];
  const bar = { advance: () => undefined, finish: () => undefined };
  const terminal = { print: () => Promise.resolve(), note: (line: string) => notes.push(line), progress: () => bar };
  const progress = createRunProgress(terminal, plan, plan.slice(1));
  const [done, , failedBefore] = plan.map(({ index, run, seed }): RunLine => ({
    ...{ method: 'vanilla', block: 'data', run, index, member: 0, seed, iterations: 2 },
    ...{ status: 'completed', initial: { gold: 0 }, final: { gold: 1, kl: 1, reward: 1 }, trajectory: {} },
  })) as [RunLine, RunLine, RunLine];
  progress.begin(plan[1]!).end();
  progress.showTable([done, { ...done, run: 1, index: 1 }, { ...failedBefore, status: 'failed' }]);
  expect(notes.join('\n')).toMatch(/so far, 2 of 3 runs:\n.*\nvanilla +2 +0 +1\.0/);
});
