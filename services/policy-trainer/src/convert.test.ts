import { status as Status } from '@grpc/grpc-js';
import { describe, expect, test } from '@jest/globals';
import {
  PpoConfig as WirePpoConfig,
  Run as WireRun,
  RunConfig,
  RunState,
} from '@surefoot/proto/surefoot/policy/v1/policy_trainer';
import { ppoDefaults } from '@surefoot/ppo';
import { fromRunConfig, toWireRun } from './convert';
import type { Run } from './run';
import { resolveSettings } from './run-settings';
import { createSettings } from './testing';

const settings = createSettings(
  {
    ...{ member: 2, mode: 'uwo', weightClampMax: Infinity, missingEosPenalty: -2, evaluationSeed: 2 ** 40 },
    ...{ learningRateSchedule: 'linear', adamEpsilonMode: 'inside' },
  },
  { seed: 2 ** 53 - 1, gold: 'gold.json', keepRollouts: true },
);
const run: Run = { id: 'a', state: 'running', settings, iteration: 4, seconds: 2.5 };
const overTheWire = (value: Run) => WireRun.decode(WireRun.encode(toWireRun(value, '/runs/a')).finish());

describe('the settings of a run', () => {
  test('go over the wire and come back the same', () => {
    const config = overTheWire(run).config;
    expect(resolveSettings(fromRunConfig(config), { ensembleAddress: '', judgeAddress: '', weights: 'f32' })).toEqual(
      settings,
    );
  });

  test.each([
    { r: 4, alpha: 8, targetModules: ['c_attn', 'mlp.c_fc'], rslora: true },
    { r: 4, alpha: 8, targetModules: '.*c_(attn|fc)', rslora: false },
  ])('keep their adapter on the wire, %j', (lora) => {
    const adapted = createSettings({}, { lora, weights: 'bf16-mapped' });
    const { config } = overTheWire({ ...run, settings: adapted });
    const defaults = { ensembleAddress: '', judgeAddress: '', weights: 'f32' } as const;
    expect(resolveSettings(fromRunConfig(config), defaults)).toEqual(adapted);
  });

  test('an adapter without alpha and targets has twice its rank and every linear module', () => {
    const config = RunConfig.fromPartial({ policy: 'base', prompts: 'p.jsonl', lora: { r: 8 } });
    expect(fromRunConfig(config).lora).toEqual({ r: 8, alpha: 16, targetModules: 'all-linear', rslora: false });
  });

  test('take every default where a client sets nothing but what it must', () => {
    const config = RunConfig.fromPartial({ policy: 'base', prompts: 'p.jsonl' });
    const defaults = { ensembleAddress: 'a:1', judgeAddress: 'b:2', weights: 'auto' } as const;
    expect(resolveSettings(fromRunConfig(config), defaults).ppo).toEqual(ppoDefaults);
  });

  test('know every hyper-parameter of the contract: none is lost, none is unknown', () => {
    const names = Object.keys(WirePpoConfig.fromPartial({}));
    expect(names.sort()).toEqual(
      Object.keys(ppoDefaults)
        .filter((name) => !['mode', 'reward', 'member'].includes(name))
        .sort(),
    );
  });

  test('refuse a request without any, and a seed that a JSON number cannot hold', () => {
    expect(() => fromRunConfig(undefined)).toThrow('config is missing');
    const config = RunConfig.fromPartial({ policy: 'base', prompts: 'p.jsonl', seed: 2n ** 64n - 1n });
    const defaults = { ensembleAddress: 'a:1', judgeAddress: 'b:2', weights: 'auto' } as const;
    expect(() => resolveSettings(fromRunConfig(config), defaults)).toThrow('seed must be');
  });
});

describe('a run', () => {
  test('says where it lies and what its user should know', () => {
    expect(overTheWire(run)).toMatchObject({ folder: '/runs/a', warnings: [] });
    expect(overTheWire({ ...run, warnings: ['one', 'two'] }).warnings).toEqual(['one', 'two']);
  });

  test('shows its error, its result and its trajectories', () => {
    const value = { gold: 0.5, standardError: 0.01, kl: 2 };
    const trajectory = { gold: [0, 1, 2, 3, 4, 5, 4], judge: [], kl: [1] };
    const wire = overTheWire({ ...run, state: 'completed', result: { initial: value, final: value }, trajectory });
    expect(wire.state).toBe(RunState.RUN_STATE_COMPLETED);
    // The best five iterations in a row are the last five: 2 + 3 + 4 + 5 + 4 = 18.
    expect(wire.result).toMatchObject({ initial: value, peak: 18 / 5, peakIteration: 7, klTrajectory: [1] });
    expect(wire.result!.initial!.judge).toBeUndefined();
    const failed = overTheWire({
      ...run,
      state: 'failed',
      error: { code: Status.INTERNAL, message: 'x'.repeat(5000) },
    });
    expect(failed.error).toEqual({ code: 13, message: 'x'.repeat(1024) });
  });
});
