import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { digestFile, readJson } from '@surefoot/files';
import {
  convertModel,
  createModel,
  disposeModel,
  gpt2Config,
  loadModel,
  parseModelConfig,
  rewardScores,
  packSequences,
  type ModelConfig,
} from '@surefoot/language-model';
import { readPairs, type PreferencePair } from '@surefoot/preference';
import { openBackend, openSafetensors, writeSafetensors } from '@surefoot/tensor';
import { fastTestBackends } from '@surefoot/tensor/testing';
import { calibrateEnsemble } from './calibrate';
import { encodeSequence } from './encode-pairs';
import { disposeEnsemble, ensembleSize, loadEnsemble } from './ensemble';
import type { EnsembleKind } from './ensemble-file';
import { fitEnsemble } from './fit-ensemble';
import type { FitOptions } from './fit-settings';
import { keepHiddenStates } from './hidden-states';
import { newHead } from './reward-head';
import { scoreSequences } from './score-sequences';
import { trainHead } from './train-head';
import { trainMember } from './train-member';
import { writeBuiltinTask } from './write-builtin-task';

// A machine under load takes several times as long.
jest.setTimeout(120_000);

let root: string;
let base: string;
let task: string;
let out: string;
let pairs: PreferencePair[];
let config: ModelConfig;
let count = 0;

beforeAll(async () => {
  await openBackend('wasm');
  root = await mkdtemp(join(tmpdir(), 'surefoot-kinds-'));
  task = join(root, 'task');
  base = join(task, 'base');
  const baseTraining = { sentences: 200, steps: 60, batchSize: 16 };
  await writeBuiltinTask(task, { dataSeed: 3, pairs: 20, judgePairs: 4, baseTraining });
  ({ pairs } = await readPairs([join(task, 'pairs.jsonl')]));
  config = parseModelConfig(await readJson(join(task, 'member-config.json')), 'member-config.json');
});
beforeEach(() => {
  out = join(root, `out-${(count += 1)}`);
});
afterAll(() => rm(root, { recursive: true, force: true }));

const options = (kind: EnsembleKind, more: Partial<FitOptions> = {}): FitOptions => ({
  ...{ kind, base, pairs, members: 3, seed: 5, out, name: 'test', epochs: 2, batchSize: 8 },
  ...(kind === 'adapters' && { adapters: { r: 2 } }),
  ...more,
});
/** The file of what is a member's own. */
const ownFile = { heads: 'model-00002-of-00002.safetensors', adapters: 'adapter_model.safetensors' };
const digests = (kind: keyof typeof ownFile, folder: string, members = [0, 1, 2]) =>
  Promise.all(members.map((k) => digestFile(join(folder, `member-${k}`, ownFile[kind]))));

async function scoresOf(folder: string): Promise<Float32Array[]> {
  const ensemble = await loadEnsemble(folder);
  const sequences = pairs.map(({ prompt, chosen }) =>
    encodeSequence(ensemble.tokenizer, { prompt, response: chosen, truncated: false }, ensemble.maxTokens),
  );
  const scores = await scoreSequences(ensemble, sequences);
  disposeEnsemble(ensemble);
  return scores;
}

/** Dtype, shape and sha256 of the values of each weight of a folder. */
async function storedTensors(folder: string): Promise<Map<string, object>> {
  const file = await openSafetensors(join(folder, 'model.safetensors'));
  const found = new Map<string, object>();
  for (const [name, tensor] of file.tensors) {
    const hash = createHash('sha256');
    for await (const piece of file.pieces(tensor)) hash.update(piece);
    found.set(name, { dtype: tensor.dtype, shape: tensor.shape, sha256: hash.digest('hex') });
  }
  await file.close();
  return found;
}

describe.each(['heads', 'adapters'] as const)('an ensemble of %s', (kind) => {
  test('is fitted, listed with what its members share, and scores with what it reports', async () => {
    const report = await fitEnsemble(options(kind, { evalPairs: pairs }));
    const file = (await readJson(join(out, 'ensemble.json'))) as {
      baseSha256: string[];
      members: { sha256: string }[];
    };
    expect(file).toMatchObject({ kind, base: kind === 'heads' ? 'trunk' : '../task/base' });
    expect(file.baseSha256).toEqual([await digestFile(join(base, 'model.safetensors'))]);
    expect(file.members.map(({ sha256 }) => sha256)).toEqual(await digests(kind, out));
    expect(new Set(await digests(kind, out)).size).toBe(3);
    expect(report.members[0]?.heldOut).toEqual(report.members[0]?.training);
    const scores = await scoresOf(out);
    const sd = (values: number[]) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
    report.members.forEach(({ mean, scale }, k) =>
      expect(sd(scores.map((row) => (row[k]! - mean) / scale))).toBeLessThan(2),
    );
  });

  test('that was killed is finished with the same bytes; asked for more members it adds them', async () => {
    await fitEnsemble(options(kind));
    const whole = await digests(kind, out);
    await rm(join(out, 'member-1'), { recursive: true });
    await rm(join(out, 'ensemble.json'));
    for (const name of ['member-1', 'trunk', 'fit.json']) await mkdir(join(out, `.${name}.half.part`));
    let steps = 0;
    await fitEnsemble(options(kind, { onProgress: ({ loss }) => (steps += loss === null ? 0 : 1) }));
    expect(steps).toBe(6);
    expect(await digests(kind, out)).toEqual(whole);
    expect((await readdir(out)).filter((name) => name.startsWith('.'))).toEqual([]);
    const grown = `${out}-grown`;
    await fitEnsemble(options(kind, { out: grown, members: 1 }));
    await fitEnsemble(options(kind, { out: grown }));
    expect(await digests(kind, grown)).toEqual(whole);
    const other = fitEnsemble(options(kind, { adapters: { r: 3 }, heads: { pull: 1 } }));
    await expect(other).rejects.toThrow(`other settings (${kind})`);
    await expect(fitEnsemble(options('full'))).rejects.toThrow('other settings (kind)');
  });

  test('scores as each of its members does alone, whatever the batch, and in parts', async () => {
    await fitEnsemble(options(kind));
    const ensemble = await loadEnsemble(out);
    const sequences = [Int32Array.of(0, 2, 3), Int32Array.of(5, 6, 7, 8, 1), Int32Array.of(4)];
    const together = await scoreSequences(ensemble, sequences);
    for (const [i, sequence] of sequences.entries())
      expect(Array.from((await scoreSequences(ensemble, [sequence]))[0]!)).toEqual(Array.from(together[i]!));
    for (const k of [0, 1, 2]) {
      const folder = join(out, `member-${k}`);
      const member = kind === 'heads' ? await loadModel(folder) : await loadModel(base, { adapter: folder });
      const alone = rewardScores(member, packSequences(sequences));
      expect(together.map((row) => row[k]!)).toBeAllclose(alone, { atol: 1e-6, rtol: 1e-5 });
      alone.dispose();
      disposeModel(member);
      const plain = await loadEnsemble(folder);
      expect(plain).toMatchObject({ name: `member-${k}`, calibration: [{ mean: 0, scale: 1 }] });
      const part = await loadEnsemble(out, { range: { from: k, to: k + 1 } });
      expect(part.digest).toBe(ensemble.digest);
      for (const loaded of [plain, part]) {
        const scores = (await scoreSequences(loaded, sequences)).map(([score]) => score!);
        expect(scores).toBeAllclose(
          together.map((row) => row[k]!),
          { atol: 1e-6, rtol: 1e-5 },
        );
        disposeEnsemble(loaded);
      }
    }
    disposeEnsemble(ensemble);
    expect(await ensembleSize(out)).toMatchObject({ members: 3, isDivisible: kind === 'adapters' });
  });

  test('is calibrated as any other', async () => {
    await fitEnsemble(options(kind));
    const rollouts = pairs.map(({ prompt, chosen }, i) => ({ id: `${i}`, prompt, response: chosen, truncated: false }));
    const calibration = await calibrateEnsemble(out, rollouts);
    const scores = await scoresOf(out);
    const mean = scores.reduce((sum, row) => sum + row[1]!, 0) / scores.length;
    expect(calibration[1]!.mean).toBeCloseTo(mean, 5);
  });

  test('whose own or shared weights are others than it notes is refused', async () => {
    await fitEnsemble(options(kind, { members: 1 }));
    const change = async (path: string) => {
      const bytes = await readFile(path);
      bytes[bytes.length - 4]! ^= 1;
      await rm(path); // not the file that others share
      await writeFile(path, bytes);
    };
    await cp(base, join(root, 'copied-base'), { recursive: true, force: true });
    const path = join(out, 'ensemble.json');
    const file = (await readJson(path)) as { base: string };
    await change(join(out, 'member-0', ownFile[kind]));
    await expect(loadEnsemble(out)).rejects.toThrow(/member-0: the weights are not those/);
    await change(join(out, 'member-0', ownFile[kind]));
    if (kind === 'heads') await change(join(out, 'member-0', 'model-00001-of-00002.safetensors'));
    else {
      await writeFile(path, JSON.stringify({ ...file, base: '../copied-base' }));
      await change(join(root, 'copied-base', 'model.safetensors'));
    }
    await expect(loadEnsemble(out)).rejects.toThrow('the weights are not those');
  });

  test('leaks no tensors', async () => {
    await expect(async () => {
      await fitEnsemble(options(kind, { members: 1 }));
      disposeEnsemble(await loadEnsemble(out));
    }).toNotLeakTensors();
  });
});

describe('heads', () => {
  test('share their trunk on the disk: links to the file of the base', async () => {
    await fitEnsemble(options('heads'));
    const inode = (path: string) => statSync(path).ino;
    const original = inode(join(base, 'model.safetensors'));
    for (const place of ['trunk/model.safetensors', 'member-2/model-00001-of-00002.safetensors'])
      expect(inode(join(out, place))).toBe(original);
    // A folder that was moved holds all that it needs.
    const moved = `${out}-moved`;
    await rename(out, moved);
    expect(await scoresOf(moved)).toHaveLength(20);
  });

  test('are what a model gets of which only the head is trained', async () => {
    const reward = gpt2Config({
      vocabularySize: 30,
      hiddenSize: 8,
      layers: 1,
      heads: 2,
      maxPositions: 8,
      head: 'reward',
      eosTokenIds: [0],
    });
    const model = createModel(reward, 1);
    const drawn = Array.from({ length: 10 }, (_, i) => ({
      chosen: Int32Array.from({ length: 1 + (i % 7) }, (_, j) => (3 * i + 5 * j) % 30),
      rejected: Int32Array.from({ length: 1 + ((i * 3) % 7) }, (_, j) => (7 * i + j) % 30),
      margin: 0.1 * i,
    }));
    const training = {
      ...{ epochs: 3, batchSize: 4, learningRate: 0.01, warmupSteps: 1, finalFraction: 0.1, weightDecay: 0.01 },
      ...{ centring: 0.1, maxGradNorm: 1, bootstrap: true, tokenBudget: 16 },
    };
    const head = newHead(8, 1);
    await trainHead(head, keepHiddenStates(model, 16), drawn, { training, pull: 0, seed: 9 });
    for (const [name, parameter] of model.parameters) parameter.trainable = name === 'score.weight';
    await trainMember(model, drawn, training, 9);
    expect(head).toBeAllclose(model.parameters.get('score.weight')!, { atol: 1e-6 });
    const pulled = newHead(8, 1);
    const begin = Array.from(await pulled.data());
    await trainHead(pulled, keepHiddenStates(model, 16), drawn, {
      training: { ...training, weightDecay: 0 },
      pull: 1e5,
      seed: 9,
    });
    const distance = (values: ArrayLike<number>) => Math.hypot(...begin.map((x, i) => x - values[i]!));
    expect(distance(await pulled.data())).toBeLessThan(0.3 * distance(await head.data()));
    for (const each of [head, pulled]) each.dispose();
    disposeModel(model);
  });

  test('on a trunk that was tuned first learn what those on a frozen one cannot', async () => {
    const settings = { members: 1, learningRate: 3e-3, epochs: 20 };
    const frozen = await fitEnsemble(options('heads', settings));
    const stages: unknown[] = [];
    const tuned = options('heads', {
      ...{ ...settings, out: `${out}-tuned`, heads: { tuneTrunk: { epochs: 30, learningRate: 3e-3 } } },
      onProgress: ({ member }) => void (stages.includes(member) || stages.push(member)),
    });
    const { members } = await fitEnsemble(tuned);
    expect(stages).toEqual(['trunk', 'texts', 0]);
    expect(members[0]!.training.logLoss).toBeLessThan(frozen.members[0]!.training.logLoss - 0.1);
    // Tuned once: it is there when more members are asked for, and a fit that goes on ends with the same bytes.
    stages.length = 0;
    await fitEnsemble({ ...tuned, members: 2 });
    expect(stages).toEqual(['texts', 1]);
    await fitEnsemble({ ...tuned, members: 2, out: `${out}-whole` });
    expect(await digests('heads', `${out}-tuned`, [0, 1])).toEqual(await digests('heads', `${out}-whole`, [0, 1]));
  });

  test('from scratch need a tuned trunk', async () => {
    const scratch = options('heads', { base: undefined, config, tokenizerFolder: base, members: 1 });
    await expect(fitEnsemble(scratch)).rejects.toThrow('tune the trunk first, or start from a base model');
    expect(existsSync(out)).toBe(false);
    await fitEnsemble({ ...scratch, heads: { tuneTrunk: { epochs: 1, learningRate: 1e-3 } } });
    expect((await readdir(out)).sort()).toEqual(['ensemble.json', 'fit.json', 'member-0', 'trunk']);
  });

  test('on the trunk of a reward model leave its head behind, and keep the bits and the dtype of the rest', async () => {
    await fitEnsemble(options('full', { members: 1 }));
    const float32 = join(out, 'member-0');
    const bfloat16 = `${out}-bf16`;
    await mkdir(bfloat16);
    await convertModel(float32, bfloat16, { dtype: 'bf16' });
    for (const judge of [float32, bfloat16]) {
      const heads = `${judge}-heads`;
      await fitEnsemble(options('heads', { members: 1, base: judge, out: heads }));
      const [own, trunk] = await Promise.all([judge, join(heads, 'trunk')].map(storedTensors));
      own!.delete('score.weight');
      expect(trunk).toEqual(own);
      expect(await scoresOf(heads)).toHaveLength(20);
    }
  });

  test('of another width, or missing from their file, are refused by name', async () => {
    await fitEnsemble(options('heads', { members: 2 }));
    const path = join(out, 'member-1', ownFile.heads);
    const file = (await readJson(join(out, 'ensemble.json'))) as { members: object[] };
    const members = file.members.map((member) => ({ ...member, sha256: '' }));
    await writeFile(join(out, 'ensemble.json'), JSON.stringify({ ...file, baseSha256: [], members }));
    await writeSafetensors(path, [['score.weight', { shape: [1, 2], data: Float32Array.of(1, 2) }]]);
    await expect(loadEnsemble(out)).rejects.toThrow(/member-1: a head of 2 weights, the trunk has width/);
    await writeSafetensors(path, [['other', { shape: [1], data: Float32Array.of(1) }]]);
    await expect(loadEnsemble(out)).rejects.toThrow(/must hold score.weight and nothing else/);
  });
});

test('adapters need a base model', async () => {
  const scratch = options('adapters', { base: undefined, config, tokenizerFolder: base });
  await expect(fitEnsemble(scratch)).rejects.toThrow('adapters need a base model');
});

describe.each(fastTestBackends)('on $title', ({ open, keepsBits }) => {
  test.each(['heads', 'adapters'] as const)(
    '%s score a sequence alone as in a batch, and as elsewhere',
    async (kind) => {
      // A software adapter takes seconds for a step of a fit.
      await openBackend('wasm');
      await fitEnsemble(options(kind, { epochs: 1, pairs: pairs.slice(0, 4), batchSize: 4 }));
      const sequences = [Int32Array.of(0, 2, 3), Int32Array.of(5, 6, 7, 8, 1), Int32Array.of(4, 9)];
      const elsewhere = await loadEnsemble(out);
      const expected = await scoreSequences(elsewhere, sequences);
      disposeEnsemble(elsewhere);
      await open();
      const ensemble = await loadEnsemble(out);
      const together = await scoreSequences(ensemble, sequences);
      for (const [i, sequence] of sequences.entries()) {
        expect(together[i]!).toBeAllclose(expected[i]!, { atol: 1e-5 });
        const [alone] = await scoreSequences(ensemble, [sequence]);
        if (keepsBits) expect(Array.from(alone!)).toEqual(Array.from(together[i]!));
        else expect(alone!).toBeAllclose(together[i]!, { atol: 1e-5 });
      }
      disposeEnsemble(ensemble);
    },
  );
});
