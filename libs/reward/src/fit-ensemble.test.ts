import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { digestFile, readJson } from '@surefoot/files';
import { disposeModel, loadModel, parameterCount, parseModelConfig, type ModelConfig } from '@surefoot/language-model';
import { readPairs, type PreferencePair } from '@surefoot/preference';
import { openBackend } from '@surefoot/tensor';
import { fastTestBackends } from '@surefoot/tensor/testing';
import { calibrateEnsemble } from './calibrate';
import { encodeSequence } from './encode-pairs';
import { disposeEnsemble, ensembleSize, loadEnsemble } from './ensemble';
import { fitEnsemble, openFit } from './fit-ensemble';
import type { FitOptions } from './fit-settings';
import { scoreSequences } from './score-sequences';
import { writeBuiltinTask } from './write-builtin-task';

// A machine under load takes several times as long.
jest.setTimeout(60_000);

let root: string;
let task: string;
let out: string;
let pairs: PreferencePair[];
let config: ModelConfig;
let count = 0;

beforeAll(async () => {
  await openBackend('wasm');
  root = await mkdtemp(join(tmpdir(), 'surefoot-reward-'));
  task = join(root, 'task');
  const baseTraining = { sentences: 200, steps: 60, batchSize: 16 };
  await writeBuiltinTask(task, { dataSeed: 3, pairs: 20, judgePairs: 4, baseTraining });
  ({ pairs } = await readPairs([join(task, 'pairs.jsonl')]));
  config = parseModelConfig(await readJson(join(task, 'member-config.json')), 'member-config.json');
});
beforeEach(() => {
  out = join(root, `out-${(count += 1)}`);
});
afterAll(() => rm(root, { recursive: true, force: true }));

const options = (more: Partial<FitOptions> = {}): FitOptions => ({
  ...{ pairs, members: 2, seed: 5, out, name: 'test', config, tokenizerFolder: join(task, 'base') },
  ...{ epochs: 2, batchSize: 8, ...more },
});
const weights = (folder: string, k: number) => digestFile(join(folder, `member-${k}`, 'model.safetensors'));

describe('fitEnsemble', () => {
  test('publishes members that differ by their seed, with their calibration, and reports them', async () => {
    const steps: string[] = [];
    const report = await fitEnsemble(
      options({
        evalPairs: pairs,
        onProgress: ({ member, step, steps: all }) => steps.push(`${member}:${step}/${all}`),
      }),
    );
    // 20 pairs in batches of 8 are 3 steps, twice
    expect(steps).toEqual([0, 1].flatMap((k) => [1, 2, 3, 4, 5, 6].map((step) => `${k}:${step}/6`)));
    expect((await readdir(out)).sort()).toEqual(['ensemble.json', 'fit.json', 'member-0', 'member-1']);
    expect(report.members.map(({ seed }) => seed)).toEqual([5000, 5001]);
    expect(await weights(out, 0)).not.toBe(await weights(out, 1));
    const ensemble = await loadEnsemble(out);
    expect(ensemble.memberDigests).toEqual(report.members.map(({ sha256 }) => sha256));
    expect(ensemble.calibration).toEqual(report.members.map(({ mean, scale }) => ({ mean, scale })));
    expect(report.members[0]?.heldOut).toEqual(report.members[0]?.training);
    expect(report.heldOutMean?.pairs).toBe(20);
    disposeEnsemble(ensemble);
  });

  test('learns: the loss on its pairs falls below that of a coin', async () => {
    const { members } = await fitEnsemble(options({ members: 1, epochs: 30, learningRate: 3e-3 }));
    expect(members[0]?.training.logLoss).toBeLessThan(0.4);
    expect(members[0]?.training.accuracy).toBeGreaterThan(0.85);
  });

  test('finishes a fit that was killed, with the same bytes', async () => {
    await fitEnsemble(options());
    const whole = await Promise.all([weights(out, 0), weights(out, 1), digestFile(join(out, 'ensemble.json'))]);
    await rm(join(out, 'member-1'), { recursive: true });
    await rm(join(out, 'ensemble.json'));
    await mkdir(join(out, '.member-1.half.part'));
    let steps = 0;
    await fitEnsemble(options({ onProgress: () => (steps += 1) }));
    expect(steps).toBe(6);
    expect(await Promise.all([weights(out, 0), weights(out, 1), digestFile(join(out, 'ensemble.json'))])).toEqual(
      whole,
    );
    expect((await readdir(out)).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test('begins anew where one was killed before its first file was whole', async () => {
    await mkdir(out);
    await writeFile(join(out, '.fit.json.half.part'), '{');
    await fitEnsemble(options({ members: 1, epochs: 1 }));
    expect((await readdir(out)).sort()).toEqual(['ensemble.json', 'fit.json', 'member-0']);
  });

  test('refuses to finish it with other settings, or to write over something else', async () => {
    await fitEnsemble(options({ members: 1 }));
    await expect(fitEnsemble(options({ members: 1, learningRate: 2e-3 }))).rejects.toThrow('other settings (training)');
    await expect(fitEnsemble(options({ members: 1, pairs: pairs.slice(1) }))).rejects.toThrow('(pairs)');
    await expect(fitEnsemble(options({ out: task }))).rejects.toMatchObject({ kind: 'already_exists' });
  });

  test('asked for more members adds them, to the bytes of a fit of all; fewer are refused', async () => {
    await fitEnsemble(options({ members: 1 }));
    const before = await weights(out, 0);
    await calibrateEnsemble(
      out,
      pairs.slice(0, 10).map(({ prompt, chosen }, i) => ({ id: `${i}`, prompt, response: chosen, truncated: false })),
    );
    expect(await fitEnsemble(options())).toMatchObject({ calibrationLost: true });
    expect(await weights(out, 0)).toBe(before);
    const { calibrationLost } = await fitEnsemble(options({ out: `${out}-whole` }));
    expect(calibrationLost).toBe(false);
    for (const file of ['ensemble.json', 'fit.json'])
      expect(await readFile(join(out, file), 'utf8')).toBe(await readFile(join(`${out}-whole`, file), 'utf8'));
    expect(await weights(out, 1)).toBe(await weights(`${out}-whole`, 1));
    await expect(fitEnsemble(options({ members: 1 }))).rejects.toThrow('other settings (members)');
  });

  test('goes on with one that an older release began', async () => {
    await fitEnsemble(options({ members: 1 }));
    const path = join(out, 'fit.json');
    const { backend, ...record } = JSON.parse(await readFile(path, 'utf8')) as { backend: string };
    const [name, kernelBuild] = backend.split(' ');
    const old = (build: unknown) => writeFile(path, JSON.stringify({ ...record, backend: name, kernelBuild: build }));
    await old('another');
    await expect(fitEnsemble(options())).rejects.toThrow('other settings (backend)');
    await old(kernelBuild);
    expect((await fitEnsemble(options())).members).toHaveLength(2);
    expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({ backend: `${name} ${kernelBuild}` });
  });

  test('gives the same members in any number, and others by bootstrap', async () => {
    await fitEnsemble(options({ members: 1 }));
    const other = `${out}-two`;
    await fitEnsemble(options({ out: other }));
    expect(await weights(other, 0)).toBe(await weights(out, 0));
    await fitEnsemble(options({ out: `${out}-bootstrap`, bootstrap: true, members: 1 }));
    expect(await weights(`${out}-bootstrap`, 0)).not.toBe(await weights(out, 0));
  });

  test('opened twice, and its members fitted by either in any order, ends with the same bytes', async () => {
    const inOrder = await fitEnsemble(options({ members: 3, evalPairs: pairs }));
    const shared = options({ members: 3, evalPairs: pairs, out: `${out}-shared` });
    const [first, second] = [await openFit(shared), await openFit(shared)];
    expect(await first.begin()).toEqual([0, 1, 2]);
    const last = await second.fitMember(2);
    expect(await second.begin()).toEqual([0, 1]);
    const rest = [await first.fitMember(0), await second.fitMember(1)];
    expect(await first.finish([...rest, last])).toEqual(inOrder);
    for (const file of ['ensemble.json', 'fit.json', ...[0, 1, 2].map((k) => `member-${k}/model.safetensors`)])
      expect(await digestFile(join(`${out}-shared`, file))).toBe(await digestFile(join(out, file)));
    for (const fit of [first, second]) fit.dispose();
  });

  test('computes the same in micro-batches, but for rounding', async () => {
    const whole = await fitEnsemble(options({ members: 1 }));
    const parts = await fitEnsemble(options({ members: 1, out: `${out}-parts`, tokenBudget: 80 }));
    expect(parts.members[0]?.training.logLoss).toBeCloseTo(whole.members[0]?.training.logLoss as number, 4);
  });

  test('fine-tunes a base model: trunks start alike, heads differ', async () => {
    const base = join(task, 'base');
    await fitEnsemble(options({ base, config: undefined, tokenizerFolder: undefined, learningRate: 1e-9, epochs: 1 }));
    const [original, first, second] = await Promise.all([
      loadModel(base),
      ...[0, 1].map((k) => loadModel(join(out, `member-${k}`))),
    ]);
    const values = (model: typeof original, name: string) => model!.parameters.get(name)!.dataSync() as Float32Array;
    expect(values(first!, 'transformer.wte.weight')).toBeAllclose(values(original!, 'transformer.wte.weight'));
    expect(values(first!, 'score.weight')).not.toEqual(values(second!, 'score.weight'));
    for (const model of [original, first, second]) disposeModel(model!);
  });

  test('passes over pairs that do not fit, and says which; an ensemble of none is an error', async () => {
    const long = { ...(pairs[0] as PreferencePair), chosen: new Array(40).fill('very').join(' ') };
    const unknown = { ...(pairs[0] as PreferencePair), chosen: 'unheard' };
    const { skipped } = await fitEnsemble(options({ members: 1, pairs: [long, ...pairs, unknown] }));
    expect(skipped.pairs).toEqual([
      { index: 0, reason: expect.stringContaining('at most 32 fit') },
      { index: 21, reason: expect.stringContaining('not in the vocabulary') },
    ]);
    const none = options({ out: `${out}-none`, pairs: [long], firstPlaces: { pairs: 'a.jsonl line 3' } });
    await expect(fitEnsemble(none)).rejects.toThrow('none of 1 pairs can be used; the first, a.jsonl line 3: the ');
    expect(existsSync(`${out}-none`)).toBe(false);
  });

  test('lists all hyper-parameters that are out of range, before anything is written', async () => {
    const bad = options({ members: 0, learningRate: NaN, epochs: 1.5 });
    await expect(fitEnsemble(bad)).rejects.toThrow(/members is 0.*epochs is 1.5.*learningRate is NaN/);
    await expect(fitEnsemble(options({ base: task }))).rejects.toThrow('either a base model, or a config');
    expect(existsSync(out)).toBe(false);
  });

  test('stops with a clear error where training diverges, and publishes nothing', async () => {
    const overflowing = {
      tokenEmbedding: 1,
      positionEmbedding: 1,
      head: 1e38,
      matrices: 1,
      outputProjectionsByDepth: false,
    };
    await expect(fitEnsemble(options({ initialisation: overflowing }))).rejects.toMatchObject({ kind: 'diverged' });
    expect(await readdir(out)).toEqual(['fit.json']);
  });

  test('leaks no tensors', async () => {
    await expect(() => fitEnsemble(options({ members: 1, tokenBudget: 80 }))).toNotLeakTensors();
  });
});

describe('an ensemble folder', () => {
  test('scores a sequence with the same bits alone and in any batch', async () => {
    await fitEnsemble(options());
    const ensemble = await loadEnsemble(out);
    const sequences = pairs.flatMap(({ prompt, chosen, rejected }) =>
      [chosen, rejected.split(' ').slice(0, 4).join(' ')].map((response) =>
        encodeSequence(ensemble.tokenizer, { prompt, response, truncated: false }, ensemble.maxTokens),
      ),
    );
    const together = await scoreSequences(ensemble, sequences);
    for (const [i, sequence] of sequences.entries())
      expect(Array.from((await scoreSequences(ensemble, [sequence]))[0]!)).toEqual(Array.from(together[i]!));
    const inParts = await scoreSequences(ensemble, sequences, { tokenBudget: 50 });
    expect(inParts).toEqual(together);
    await expect(scoreSequences(ensemble, [new Int32Array(33)])).rejects.toThrow('sequence 0 has 33 tokens');
    await expect(scoreSequences(ensemble, [Int32Array.of(100)])).rejects.toMatchObject({ kind: 'invalid_argument' });
    disposeEnsemble(ensemble);
  });

  test('loaded in parts gives each part its columns, and the description of the whole to all', async () => {
    await fitEnsemble(options({ members: 3 }));
    const { members, ...whole } = await loadEnsemble(out);
    const sequences = [Int32Array.of(0, 2, 3), Int32Array.of(5, 6, 7, 8, 1)];
    const all = await scoreSequences({ members, maxTokens: whole.maxTokens }, sequences);
    for (const [from, to] of [
      [0, 1],
      [1, 3],
    ] as const) {
      const part = await loadEnsemble(out, { range: { from, to } });
      expect(part.members.count).toBe(to - from);
      const { tokenizer, ...described } = { ...part, members: undefined };
      expect(described).toEqual({ ...whole, members: undefined, tokenizer: undefined });
      expect(tokenizer.digest).toBe(whole.tokenizer.digest);
      expect(await scoreSequences(part, sequences)).toEqual(all.map((row) => row.slice(from, to)));
      disposeEnsemble(part);
    }
    members.dispose();
    const parameters = parameterCount(whole.configs[0]!);
    expect(await ensembleSize(out)).toEqual({ members: 3, parameters, isDivisible: true });
  });

  test('is calibrated anew from reference samples, and keeps that when its fit is asked for again', async () => {
    await fitEnsemble(options());
    const before = await loadEnsemble(out);
    const rollouts = pairs
      .slice(0, 10)
      .map(({ prompt, chosen }, i) => ({ id: `${i}`, prompt, response: chosen, truncated: false }));
    const calibration = await calibrateEnsemble(out, rollouts);
    await fitEnsemble(options());
    const after = await loadEnsemble(out);
    expect(after.calibration).toEqual(calibration);
    expect(after.digest).not.toBe(before.digest);
    expect(after.memberDigests).toEqual(before.memberDigests);
    await expect(calibrateEnsemble(out, [{ ...rollouts[0]!, response: 'unheard' }])).rejects.toThrow('rollout 0: ');
    disposeEnsemble(before);
    disposeEnsemble(after);
  });

  test('whose members have no sha256 is loaded as it is, by all threads that share it as the same', async () => {
    await fitEnsemble(options());
    const path = join(out, 'ensemble.json');
    const file = JSON.parse(await readFile(path, 'utf8')) as { members: { sha256: string }[] };
    const write = (members: object[]) =>
      writeFile(path, JSON.stringify({ ...file, members: members.map((member) => ({ ...member, sha256: '' })) }));
    await write(file.members);
    const [whole, second] = [await loadEnsemble(out), await loadEnsemble(out, { range: { from: 1, to: 2 } })];
    expect(whole.memberDigests).toEqual(['', '']);
    expect(second.digest).toBe(whole.digest);
    await write(file.members.slice(0, 1));
    const alone = await loadEnsemble(out);
    expect(alone.memberDigests).toEqual([file.members[0]!.sha256]);
    [whole, second, alone].forEach(disposeEnsemble);
  });

  test('is refused where a member changed, is missing, or ensemble.json is malformed', async () => {
    await fitEnsemble(options());
    const path = join(out, 'ensemble.json');
    const file = JSON.parse(await readFile(path, 'utf8')) as {
      members: { sha256: string; path: string; scale: number }[];
    };
    const write = (change: object) => writeFile(path, JSON.stringify({ ...file, ...change }));
    const [first, second] = file.members;
    await write({ members: [{ ...first, sha256: second!.sha256 }] });
    await expect(loadEnsemble(out)).rejects.toThrow('not those that ensemble.json names');
    await write({ members: [{ ...first, path: '../elsewhere' }] });
    await expect(loadEnsemble(out)).rejects.toThrow('members[0].path must be a folder name');
    await write({ members: [{ ...first, scale: 0 }] });
    await expect(loadEnsemble(out)).rejects.toThrow('members[0].scale must be a positive number');
    await write({ members: [{ ...first, sha256: 'abc' }] });
    await expect(loadEnsemble(out)).rejects.toThrow('members[0].sha256 must be 64 hexadecimal digits, or empty');
    await write({ kind: 'remote' });
    await expect(loadEnsemble(out)).rejects.toThrow('kind must be "full", "heads" or "adapters"');
    await write({ kind: 'heads' });
    await expect(loadEnsemble(out)).rejects.toThrow('base must be the folder that the heads share');
    await write({ members: [{ ...first, path: 'member-7' }] });
    await expect(loadEnsemble(out)).rejects.toMatchObject({ kind: 'not_found' });
    await expect(loadEnsemble(join(root, 'nowhere'))).rejects.toMatchObject({ kind: 'not_found' });
  });

  test('may be a plain reward-model folder, which is one member', async () => {
    await fitEnsemble(options({ members: 1 }));
    const plain = await loadEnsemble(join(out, 'member-0'));
    expect(plain).toMatchObject({ name: 'member-0', calibration: [{ mean: 0, scale: 1 }], maxTokens: 32 });
    disposeEnsemble(plain);
    await expect(loadEnsemble(join(task, 'base'))).rejects.toThrow('a reward model is needed');
  });
});

// One epoch of small batches: a software adapter takes a second for a step.
describe.each(fastTestBackends)('a small fit on $title', ({ open, keepsBits }) => {
  beforeAll(async () => {
    await open();
  });

  test('that was killed is finished with the same bytes, and differs from one in micro-batches by rounding', async () => {
    const small = { epochs: 1, members: 2, pairs: pairs.slice(0, 8), batchSize: 4 };
    const { members } = await fitEnsemble(options(small));
    const whole = await Promise.all([weights(out, 0), weights(out, 1)]);
    await rm(join(out, 'member-1'), { recursive: true });
    await rm(join(out, 'ensemble.json'));
    await fitEnsemble(options(small));
    expect(await Promise.all([weights(out, 0), weights(out, 1)])).toEqual(whole);
    const parts = await fitEnsemble(options({ ...small, members: 1, out: `${out}-parts`, tokenBudget: 40 }));
    expect(parts.members[0]!.training.logLoss).toBeCloseTo(members[0]!.training.logLoss, 4);
  });

  test(`scores a sequence alone as in a batch, ${keepsBits ? 'to the bit' : 'to 1e-5'}`, async () => {
    await fitEnsemble(options({ epochs: 1, members: 2, pairs: pairs.slice(0, 4), batchSize: 4 }));
    const ensemble = await loadEnsemble(out);
    const sequences = pairs
      .slice(0, 4)
      .map(({ prompt, chosen }) =>
        encodeSequence(ensemble.tokenizer, { prompt, response: chosen, truncated: false }, ensemble.maxTokens),
      );
    const together = await scoreSequences(ensemble, sequences);
    for (const [i, sequence] of sequences.entries()) {
      const [alone] = await scoreSequences(ensemble, [sequence]);
      if (keepsBits) expect(Array.from(alone!)).toEqual(Array.from(together[i]!));
      else expect(alone!).toBeAllclose(together[i]!, { atol: 1e-5 });
    }
    disposeEnsemble(ensemble);
  });
});
