import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomStream } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import { gpt2Config, type ModelConfig } from './config';
import { createModel } from './create-model';
import type { LanguageModel } from './model';
import { wordTokenizerFiles } from './word-tokenizer';

/** A config of 2 layers that computes in no time; id 1 ends a response. */
export function tinyConfig(overrides: Partial<Parameters<typeof gpt2Config>[0]> = {}): ModelConfig {
  const geometry = { vocabularySize: 13, hiddenSize: 16, layers: 2, heads: 2, maxPositions: 24 };
  return gpt2Config({ ...geometry, head: 'causal-lm', eosTokenIds: [1], bosTokenId: 0, ...overrides });
}

/** A model whose weights are large enough that every part shows in its results. */
export function tinyModel(overrides: Partial<Parameters<typeof gpt2Config>[0]> = {}, seed = 1): LanguageModel {
  const sd = { tokenEmbedding: 0.6, positionEmbedding: 0.6, head: 0.6 };
  const initialisation = { ...sd, matrices: 'fan-in', outputProjectionsByDepth: true } as const;
  return createModel(tinyConfig(overrides), seed, initialisation);
}

/** Random sequences of the given lengths. */
export function randomSequences(lengths: number[], vocabularySize = 13): Int32Array[] {
  const random = randomStream(5, 'sequences');
  return lengths.map((length) => Int32Array.from({ length }, () => random.integer(vocabularySize)));
}

/** Runs with a new folder, which is removed afterwards. */
export async function withFolder<Result>(run: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'surefoot-language-model-'));
  try {
    return await run(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Fills a folder with the files of a small word tokenizer, some replaced. */
export async function writeTokenizer(folder: string, replaced: Record<string, string> = {}): Promise<void> {
  const files = { ...wordTokenizerFiles(smallVocabulary, { bos: '<bos>', eos: '<eos>' }), ...replaced };
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content);
}

export const smallVocabulary = [
  '<bos>',
  '<eos>',
  'how',
  'is',
  'the',
  'soup',
  '?',
  'very',
  'good',
  'and',
  'hot',
  '.',
  'well',
];

/** Watches the bytes of all values on the backend; `tf.memory().numBytes` counts values once for each tensor that shares them. */
export function watchBuffers() {
  const { state } = tf.engine();
  const { tensorInfo } = state;
  const sizes = new Map<object, number>();
  let now = 0;
  let most = 0;
  let largest = 0;
  const count = (dataId: object, bytes: number) => {
    now += bytes - (sizes.get(dataId) ?? 0);
    sizes.set(dataId, bytes);
    most = Math.max(most, now);
    largest = Math.max(largest, bytes);
  };
  state.tensorInfo = {
    get: (id) => tensorInfo.get(id),
    has: (id) => tensorInfo.has(id),
    set(id, info) {
      count(id, info.bytes ?? 0);
      tensorInfo.set(id, info);
      return this;
    },
    delete(id) {
      count(id, 0);
      sizes.delete(id);
      return tensorInfo.delete(id);
    },
  } as typeof tensorInfo;
  return {
    /** Bytes at most above those at the start. */
    async during(run: () => unknown) {
      const start = (most = now);
      await run();
      return most - start;
    },
    /** Bytes of the largest value that came since the watch began. */
    largest: () => largest,
    stop: () => (state.tensorInfo = tensorInfo),
  };
}
