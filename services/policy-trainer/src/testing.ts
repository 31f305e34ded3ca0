import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createModel, disposeModel, gpt2Config, saveModel, wordTokenizerFiles } from '@surefoot/language-model';
import type { PpoConfig } from '@surefoot/ppo';
import { openBackend } from '@surefoot/tensor';
import { resolveSettings, type RunSettings } from './run-settings';
import type { ScoreRequest, Scores, TrainingJob } from './training-job';

export const words = ['<bos>', '<eos>', 'is', 'it', 'good', 'bad', 'fine', 'very', 'not', 'soup', 'cake', '?'];
export const goodWord = words.indexOf('good');

/** A folder with a tiny policy and prompts; `remove` takes it away. */
export interface World {
  /** The data directory: `base/`, `prompts.jsonl`. */
  data: string;
  /** Of every policy. */
  tokenizerFolder: string;
  /** A new, empty folder. */
  folder(name: string): string;
  remove(): void;
}

export async function createWorld(): Promise<World> {
  await openBackend('wasm');
  const top = realpathSync(mkdtempSync(join(tmpdir(), 'policy-trainer-')));
  const data = join(top, 'data');
  const tokenizerFolder = join(top, 'tokenizer');
  mkdirSync(tokenizerFolder);
  for (const [name, content] of Object.entries(wordTokenizerFiles(words, { bos: '<bos>', eos: '<eos>' })))
    writeFileSync(join(tokenizerFolder, name), content);
  await writePolicy({ data, tokenizerFolder }, 'base', 16);
  const prompts = ['is soup good ?', 'is cake good ?', 'is it ?', 'soup'].map((prompt) => JSON.stringify({ prompt }));
  writeFileSync(join(data, 'prompts.jsonl'), `${prompts.join('\n')}\n`);
  return {
    data,
    tokenizerFolder,
    folder: (name) => {
      mkdirSync(join(top, name));
      return join(top, name);
    },
    remove: () => rmSync(top, { recursive: true, force: true }),
  };
}

/** Writes a randomly initialised policy of one layer into the data directory. */
export async function writePolicy(
  { data, tokenizerFolder }: Pick<World, 'data' | 'tokenizerFolder'>,
  name: string,
  hiddenSize: number,
): Promise<void> {
  const shape = { vocabularySize: words.length, hiddenSize, layers: 1, heads: 2, maxPositions: 16 };
  const model = createModel(gpt2Config({ ...shape, head: 'causal-lm', eosTokenIds: [1], bosTokenId: 0 }), 5);
  mkdirSync(join(data, name), { recursive: true });
  await saveModel(model, join(data, name), { tokenizerFolder });
  disposeModel(model);
}

/** Small enough for a second, large enough to learn something. */
export const smallPpo: Partial<PpoConfig> = {
  iterations: 6,
  batchSize: 16,
  epochs: 2,
  maxNewTokens: 6,
  referenceSamples: 64,
  evaluationSamples: 48,
  chunkSize: 8,
  learningRate: 5e-3,
};

export function createSettings(ppo: Partial<PpoConfig> = {}, rest: Partial<RunSettings> = {}): RunSettings {
  const chosen = {
    ...{ policy: 'base', prompts: 'prompts.jsonl', evalPrompts: '', gold: '', seed: 1000, keepRollouts: false },
    ...{ ensembleAddress: '127.0.0.1:1', judgeAddress: '127.0.0.1:2', lora: null, weights: '' },
    ...rest,
  };
  return resolveSettings(
    { ...chosen, ppo: { ...smallPpo, ...ppo } },
    { ensembleAddress: '', judgeAddress: '', weights: 'auto' },
  );
}

export function createJob(world: World, folder: string, settings = createSettings()): TrainingJob {
  const prompts = join(world.data, settings.prompts);
  return {
    folder,
    settings,
    paths: { policy: join(world.data, 'base'), prompts, evalPrompts: prompts, gold: null },
    ensembleDigest: 'e'.repeat(64),
    judgeDigest: 'f'.repeat(64),
    stop: new SharedArrayBuffer(4),
  };
}

/** Three members that like the word `good`, each with a taste of its own, and a judge; functions of the rollout alone. */
export function scoreByWords({ rollouts, asked }: ScoreRequest, judgeSign = 1): Scores {
  const count = (ids: number[], word: number) => ids.reduce((sum, id) => sum + Number(id === word), 0);
  return {
    members: asked.ensemble
      ? rollouts.map(({ responseIds }) =>
          [0, 1, 2].map((k) => count(responseIds, goodWord) + 0.3 * count(responseIds, 4 + k) * (k - 1)),
        )
      : [],
    judge: asked.judge ? rollouts.map(({ responseIds }) => judgeSign * count(responseIds, goodWord)) : [],
  };
}
