import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { loadCheckpoint, saveCheckpoint, type Checkpoint } from './checkpoint';
import { prepareFolder } from './run-folder';
import type { Fingerprint } from './start';

let folder: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'checkpoint-'));
  await prepareFolder(join(folder, 'checkpoints'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const tensor = (...values: number[]) => ({ shape: [values.length], data: Float32Array.from(values) });
const digest = 'a'.repeat(64);
const fingerprint: Fingerprint = {
  ...{
    policy: digest,
    weights: 'f32',
    tokenizer: digest,
    prompts: digest,
    evalPrompts: digest,
    gold: 'none',
    ensemble: digest,
  },
  ...{ judge: digest, backend: 'wasm simd' },
};
const checkpoint: Checkpoint = {
  iteration: 3,
  seconds: 1.5,
  learner: {
    tensors: new Map([
      ['policy/w', tensor(1, 0.1)],
      ['value/w', tensor(-0)],
    ]),
    // 0.1 + 0.2 has no short form: JSON must bring back its exact bits.
    numbers: { beta: 0.1 + 0.2, skippedInARow: 1, policySteps: 9, valueSteps: 9 },
  },
  normaliser: { centring: 'prompt', means: { key: [0.1 + 0.7, 1 / 3] }, scales: [2, 3], meanVariance: 0.5 },
  fingerprint,
  best: { judge: 0.25, iteration: 2, tensors: new Map([['policy/w', tensor(5, 6)]]) },
  rolloutBytes: 77,
};

describe('a checkpoint', () => {
  test('comes back as it was, bit by bit', async () => {
    await saveCheckpoint(folder, checkpoint);
    expect(await loadCheckpoint(folder, fingerprint)).toEqual(checkpoint);
  });

  test('without a best policy comes back without one; a folder without checkpoints has none', async () => {
    expect(await loadCheckpoint(folder, fingerprint)).toBeUndefined();
    await saveCheckpoint(folder, { ...checkpoint, best: undefined });
    expect(await loadCheckpoint(folder, fingerprint)).toEqual({ ...checkpoint, best: undefined });
  });

  test('is one of the last two', async () => {
    for (const iteration of [8, 9, 10, 11]) await saveCheckpoint(folder, { ...checkpoint, iteration });
    expect(readdirSync(join(folder, 'checkpoints'))).toEqual(['0000010.safetensors', '0000011.safetensors']);
    expect((await loadCheckpoint(folder, fingerprint))!.iteration).toBe(11);
  });

  test('that is damaged is passed over for the one before; where both are, nothing is begun anew in silence', async () => {
    for (const iteration of [10, 11]) await saveCheckpoint(folder, { ...checkpoint, iteration });
    const damage = (iteration: number) =>
      writeFileSync(join(folder, 'checkpoints', `00000${iteration}.safetensors`), 'torn');
    damage(11);
    expect((await loadCheckpoint(folder, fingerprint))!.iteration).toBe(10);
    damage(10);
    await expect(loadCheckpoint(folder, fingerprint)).rejects.toMatchObject({
      kind: 'failed_precondition',
      message: expect.stringContaining('no checkpoint'),
    });
  });

  test('of other models, data or kernels is refused, and all that differs is named', async () => {
    await saveCheckpoint(folder, checkpoint);
    const now = { ...fingerprint, policy: 'b'.repeat(64), judge: 'none', backend: 'wasm relaxed-simd' };
    await expect(loadCheckpoint(folder, now)).rejects.toMatchObject({
      kind: 'failed_precondition',
      message: expect.stringMatching(
        /policy was a{12} and is b{12}; judge was a{12} and is none; backend was wasm simd and is wasm relaxed-simd/,
      ),
    });
  });

  test('of weights held otherwise is refused; one that does not say how is of float32', async () => {
    const silent: Partial<Fingerprint> = { ...fingerprint };
    delete silent.weights;
    const mapped = { ...fingerprint, weights: 'bf16-mapped' };
    await saveCheckpoint(folder, { ...checkpoint, fingerprint: silent as Fingerprint });
    expect((await loadCheckpoint(folder, fingerprint))!.iteration).toBe(3);
    await expect(loadCheckpoint(folder, mapped)).rejects.toThrow('weights was f32 and is bf16-mapped.');
    await saveCheckpoint(folder, { ...checkpoint, fingerprint: mapped });
    await expect(loadCheckpoint(folder, fingerprint)).rejects.toThrow('weights was bf16-mapped and is f32.');
  });

  test('that cannot be written leaves the ones before and no part behind', async () => {
    await saveCheckpoint(folder, checkpoint);
    const wrong = new Map([['policy/w', { shape: [3], data: new Float32Array(2) }]]);
    const broken = { ...checkpoint, iteration: 4, learner: { ...checkpoint.learner, tensors: wrong } };
    await expect(saveCheckpoint(folder, broken)).rejects.toMatchObject({ kind: 'invalid_argument' });
    expect(readdirSync(join(folder, 'checkpoints'))).toEqual(['0000003.safetensors']);
  });
});
