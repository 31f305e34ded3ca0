import { describe, expect, test } from '@jest/globals';
import { ppoDefaults } from '@surefoot/ppo';
import { planRuns, remoteRunId, runOfIndex } from './plan';

const methods = ['vanilla', 'variance-weighted-kl'].map((name) => ({ name, ppo: ppoDefaults }));
const config = { blocks: [{ name: 'a' }, { name: 'b' }], methods, runs: 3, seed: 1000 };

describe('planRuns', () => {
  test('index is (block * runs + run) * methods + method, and the place in the list', () => {
    const plan = planRuns(config, [2, 10]);
    expect(plan).toHaveLength(2 * 3 * 2);
    for (const [place, { index, block, run, method }] of plan.entries()) {
      expect(index).toBe(place);
      expect(index).toBe(((block.name === 'a' ? 0 : 1) * 3 + run) * 2 + methods.indexOf(method));
    }
  });
  test('any even prefix holds both methods with the same seeds and members', () => {
    const plan = planRuns(config, [2, 10]);
    for (let i = 0; i < plan.length; i += 2) {
      const [first, second] = [plan[i]!, plan[i + 1]!];
      expect([first.seed, first.member, first.block]).toEqual([second.seed, second.member, second.block]);
    }
  });
  test('members go round by the size of the block’s own ensemble', () => {
    const plan = planRuns(config, [2, 10]);
    expect(
      plan.filter(({ block, method }) => block.name === 'a' && method === methods[0]).map((p) => p.member),
    ).toEqual([0, 1, 0]);
    expect(plan.at(-1)).toMatchObject({ id: 'variance-weighted-kl-b-2', member: 2, seed: 1002 });
  });
  test('two runs of one name are refused', () => {
    const clash = {
      ...config,
      blocks: [{ name: 'c' }, { name: 'b-c' }],
      methods: ['a-b', 'a'].map((name) => ({ name, ppo: ppoDefaults })),
    };
    expect(() => planRuns(clash, [1, 1])).toThrow('a-b-c-0');
  });
  test('an index outside the plan names the range', () => {
    expect(() => runOfIndex(planRuns(config, [1, 1]), 12)).toThrow('0 to 11');
  });
  test('at a trainer service the name of the experiment leads, as far as ids allow', () => {
    expect(remoteRunId('Uneven coverage, 2', { id: 'vanilla-a-0' })).toBe('uneven-coverage-2-vanilla-a-0');
    expect(remoteRunId('«»', { id: 'vanilla-a-0' })).toBe('experiment-vanilla-a-0');
    expect(() => remoteRunId('x'.repeat(52), { id: 'vanilla-a-0' })).toThrow('64 characters');
  });
});
