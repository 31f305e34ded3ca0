import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { publishFolder, readJson } from '@surefoot/files';
import { convertModel } from '@surefoot/language-model';
import { readPairs, type PreferencePair } from '@surefoot/preference';
import { inspectTensorflow, openBackend } from '@surefoot/tensor';
import { shiftValues } from '@surefoot/tensor/testing';
import { calibrateEnsemble } from './calibrate';
import { disposeEnsemble, loadEnsemble } from './ensemble';
import type { EnsembleKind } from './ensemble-file';
import { fitEnsemble } from './fit-ensemble';
import type { FitOptions } from './fit-settings';
import { writeBuiltinTask } from './write-builtin-task';

jest.setTimeout(60_000);

let root: string;
let aligned: string;
let shifted: string;
let out: string;
let pairs: PreferencePair[];
let count = 0;
const canMap = inspectTensorflow().problem === undefined;

beforeAll(async () => {
  await openBackend(canMap ? 'tensorflow' : 'wasm', { threads: 1 });
  root = await mkdtemp(join(tmpdir(), 'surefoot-form-'));
  const baseTraining = { sentences: 100, steps: 10, batchSize: 16 };
  await writeBuiltinTask(join(root, 'task'), { dataSeed: 3, pairs: 8, judgePairs: 2, baseTraining });
  ({ pairs } = await readPairs([join(root, 'task', 'pairs.jsonl')]));
  [aligned, shifted] = [join(root, 'aligned'), join(root, 'shifted')];
  for (const folder of [aligned, shifted])
    await publishFolder(folder, (beside) => convertModel(join(root, 'task', 'base'), beside, { dtype: 'bf16' }));
  await shiftValues(join(shifted, 'model.safetensors'));
});
beforeEach(() => {
  out = join(root, `out-${(count += 1)}`);
});
afterAll(() => rm(root, { recursive: true, force: true }));

const options = (kind: EnsembleKind, more: Partial<FitOptions> = {}): FitOptions => ({
  ...{ kind, base: aligned, pairs, members: 1, seed: 5, out, name: 'test', epochs: 1, batchSize: 8 },
  ...(kind === 'adapters' && { adapters: { r: 2 } }),
  ...more,
});
const record = () => readJson(join(out, 'fit.json')) as Promise<{ members: number; weights?: string }>;

const onMapping = (canMap ? test : test.skip).each<EnsembleKind>(['heads', 'adapters']);
onMapping('%s: a fit goes on with weights held as it began alone', async (kind) => {
  await fitEnsemble(options(kind, { weights: 'bf16-mapped' }));
  expect(await record()).toMatchObject({ weights: 'bf16-mapped' });
  // `auto` holds a small model as float32.
  for (const weights of ['f32', 'auto'] as const)
    await expect(fitEnsemble(options(kind, { weights }))).rejects.toMatchObject({
      kind: 'failed_precondition',
      message: expect.stringContaining('fitted on weights held as bf16-mapped, not as f32'),
    });
  await fitEnsemble(options(kind, { weights: 'bf16-mapped', members: 2 }));
  expect(await record()).toMatchObject({ weights: 'bf16-mapped', members: 2 });
});

onMapping('%s: a record that does not say how weights are held is of float32', async (kind) => {
  await fitEnsemble(options(kind, { weights: 'auto' }));
  expect(await record()).not.toHaveProperty('weights');
  await fitEnsemble(options(kind, { weights: 'f32' }));
  await expect(fitEnsemble(options(kind, { weights: 'bf16-mapped' }))).rejects.toThrow(
    'fitted on weights held as f32, not as bf16-mapped',
  );
});

onMapping('%s: weights that had to be copied are told of by whatever loads them', async (kind) => {
  const warnings: string[] = [];
  const telling = { weights: 'bf16-mapped' as const, onWarning: (message: string) => void warnings.push(message) };
  const copied = expect.stringContaining('do not begin at a multiple of 64 bytes and are copied');
  await fitEnsemble(options(kind, { ...telling, base: shifted }));
  expect(warnings.splice(0)).toEqual([copied]);
  disposeEnsemble(await loadEnsemble(out, telling));
  expect(warnings.splice(0)).toEqual([copied]);
  const rollouts = pairs.map(({ prompt, chosen }, i) => ({ id: `${i}`, prompt, response: chosen, truncated: false }));
  await calibrateEnsemble(out, rollouts, telling);
  expect(warnings).toEqual([copied]);
});
