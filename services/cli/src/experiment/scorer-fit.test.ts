import { describe, expect, test } from '@jest/globals';
import { ppoDefaults, type PpoConfig } from '@surefoot/ppo';
import { refuseFolders, refuseUnfit } from './scorer-fit';

describe('refuseUnfit', () => {
  const block = { name: 'a', ensemble: { folder: '/data/ensemble' } };
  const check = (member: number, members: number, ppo: Partial<PpoConfig>) =>
    refuseUnfit({ method: { name: 'mine', ppo: { ...ppoDefaults, ...ppo } }, member, block }, members, {
      file: 'run.yaml',
    });

  test('names file, key and ensemble of a member that is not there', () => {
    expect(() => check(7, 2, { mode: 'vanilla' })).toThrow(
      'run.yaml: member: member 7 is to be the reward, but there are 2 (ensemble /data/ensemble)',
    );
  });
  test('names the method that needs a variance where there is one member', () => {
    expect(() => check(0, 1, { mode: 'uwo' })).toThrow(/^run.yaml: method mine: .* one member has no variance/);
  });
  test.each<[number, number, Partial<PpoConfig>]>([
    [1, 2, { mode: 'uwo' }],
    [0, 1, { mode: 'vanilla' }],
    [7, 2, { mode: 'vanilla', reward: 'mean' }],
    [7, 2, { mode: 'wco' }],
  ])('member %i of %i with %j can be', (member, members, ppo) => {
    expect(() => check(member, members, ppo)).not.toThrow();
  });
});

test('refuseFolders names file and keys, and passes addresses and what is left out', () => {
  expect(() =>
    refuseFolders(
      [
        ['ensemble', { address: 'a:1' }],
        ['judge', undefined],
      ],
      'run.yaml',
    ),
  ).not.toThrow();
  const folders = [
    ['ensemble', { folder: 'ens' }],
    ['judge', { folder: 'jud' }],
  ] as const;
  expect(() => refuseFolders([...folders], 'run.yaml')).toThrow(/^run.yaml: ensemble: ens, judge: jud: .* HOST:PORT/);
});
