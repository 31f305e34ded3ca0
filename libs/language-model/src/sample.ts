import { DomainError } from '@surefoot/errors';
import {
  cachedAttention,
  createKeyValueCache,
  growKeyValueCache,
  type KeyValueCache,
  type RandomStream,
} from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import { layerStates, logits, type Attend } from './decoder';
import type { ModelConfig } from './config';
import { samplingBytes } from './memory-estimate';
import { assertRoom, freeBytes } from './memory-room';
import type { LanguageModel } from './model';
import { pickToken, type TokenChoice } from './pick-token';
import { lastTokenRows, packSequences, type TokenBatch } from './token-batch';

/** A sampled response. */
export interface Sample {
  /** New ids, the eos token included. */
  ids: Int32Array;
  /** `eos`: ended by itself; `length`: cut after maxNewTokens. */
  finish: 'eos' | 'length';
}

export interface SampleOptions extends TokenChoice {
  maxNewTokens: number;
  /** Ids that end a response; default the model's, [] ends none. */
  eosTokenIds?: number[];
  /** The stream of a row; each token takes one draw of it. */
  random: (row: number) => RandomStream;
  /** Rows sampled at once, default 64; fewer where memory is short. Results do not depend on it. */
  batchSize?: number;
  /** Called once for each row, as soon as it has ended. */
  onFinished?: (row: number, sample: Sample) => void;
}

/**
 * Samples a response to each prompt, with a cache of keys and values.
 *
 * A row's tokens depend on its prompt and its stream alone, not on what it shares a batch with.
 *
 * @param prompts token ids, none empty, of any lengths
 * @returns in the order of the prompts
 * @throws DomainError invalid_argument before anything is computed: an empty prompt, one that with maxNewTokens exceeds the
 *   model's positions, an id outside the vocabulary, an option out of range; diverged if the model's logits are not finite;
 *   resource_exhausted if not even one row fits in memory
 */
export async function sample(
  model: LanguageModel,
  prompts: ArrayLike<number>[],
  options: SampleOptions,
): Promise<Sample[]> {
  checkOptions(options);
  prompts.forEach((prompt, row) => checkPrompt(model, prompt, row, options.maxNewTokens));
  const batchSize = rowsThatFit(model.config, prompts, options);
  const samples: Sample[] = [];
  for (let first = 0; first < prompts.length; first += batchSize)
    samples.push(...(await sampleBatch(model, prompts.slice(first, first + batchSize), first, options)));
  return samples;
}

function rowsThatFit(config: ModelConfig, prompts: ArrayLike<number>[], options: SampleOptions): number {
  const { maxNewTokens, batchSize = 64 } = options;
  const width = prompts.reduce((longest, { length }) => Math.max(longest, length), 1);
  const capacity = width + maxNewTokens;
  const bytes = samplingBytes(config, { sequences: 1, width, capacity });
  const cure = 'use shorter prompts, fewer new tokens or a smaller model';
  assertRoom('sampling', { [`the keys, values and activations of one row of ${capacity} tokens`]: bytes }, cure);
  return Math.min(batchSize, Math.floor(freeBytes() / bytes));
}

/** Rows leave the batch when this share of it has ended: at once would copy the cache too often. */
const endedShare = 1 / 4;

interface Row {
  /** Among all prompts. */
  index: number;
  promptLength: number;
  ids: number[];
  random: RandomStream;
  sample?: Sample;
}

async function sampleBatch(
  model: LanguageModel,
  prompts: ArrayLike<number>[],
  firstRow: number,
  options: SampleOptions,
): Promise<Sample[]> {
  const { maxNewTokens, random } = options;
  const batch = packSequences(prompts);
  const all: Row[] = prompts.map((prompt, i) => ({
    ...{ index: firstRow + i, promptLength: prompt.length, ids: [], random: random(firstRow + i) },
  }));
  const decoder = createCachedDecoder(model, batch.batch, batch.width, batch.width + maxNewTokens);
  try {
    let rows = all;
    let scores = await decoder.prefill(batch);
    for (;;) {
      rows.forEach((row, i) => row.sample || takeToken(row, scores[i]!, model, options));
      const open = Int32Array.from(rows.keys()).filter((i) => !rows[i]!.sample);
      if (open.length === 0) return all.map((row) => row.sample!);
      if (open.length <= (1 - endedShare) * rows.length) {
        decoder.keepRows(open);
        rows = Array.from(open, (i) => rows[i]!);
      }
      // An ended row repeats its last token, which changes nothing for the others.
      const lastIds = Int32Array.from(rows, ({ ids }) => ids.at(-1)!);
      const positions = Int32Array.from(rows, ({ promptLength, ids }) => promptLength + ids.length - 1);
      scores = await decoder.step(lastIds, positions);
    }
  } finally {
    decoder.dispose();
  }
}

/** Draws a row's next token and ends the row if that was its last. */
function takeToken(row: Row, logits: Float32Array, model: LanguageModel, options: SampleOptions): void {
  const { maxNewTokens, onFinished, eosTokenIds = model.config.eosTokenIds } = options;
  const id = pickToken(logits, options, row.random.uniform);
  row.ids.push(id);
  const isEos = eosTokenIds.includes(id);
  if (!isEos && row.ids.length < maxNewTokens) return;
  row.sample = { ids: Int32Array.from(row.ids), finish: isEos ? 'eos' : 'length' };
  onFinished?.(row.index, row.sample);
}

/** Positions that a cache grows by: most responses end long before maxNewTokens, and each growth copies the cache. */
const cacheBlock = 64;

/** A decoder that remembers the keys and values of the tokens it has seen. */
interface CachedDecoder {
  /** Logits after each prompt, a row each. */
  prefill(batch: TokenBatch): Promise<Float32Array[]>;
  /** Logits after one more token a row. */
  step(ids: Int32Array, positions: Int32Array): Promise<Float32Array[]>;
  /** Forgets all rows but these. */
  keepRows(rows: Int32Array): void;
  dispose(): void;
}

/** @param longest tokens of a row that the cache ever holds */
function createCachedDecoder(model: LanguageModel, batch: number, width: number, longest: number): CachedDecoder {
  const { layers, keyHeads, headWidth, vocabularySize } = model.config;
  let capacity = Math.min(width + cacheBlock, longest);
  let caches = Array.from({ length: layers }, () => createKeyValueCache(batch, capacity, keyHeads * headWidth));
  const run = async (ids: Int32Array, positions: Int32Array, starts: Int32Array, rows?: Int32Array) => {
    const scores = tf.tidy(() => {
      const attend: Attend = (packed, layer, options) => cachedAttention(packed, caches[layer]!, starts, options);
      return logits(model, layerStates(model, ids, positions, attend, rows).at(-1)!);
    });
    const data = (await scores.data()) as Float32Array;
    scores.dispose();
    return Array.from(starts, (_, row) => data.subarray(row * vocabularySize, (row + 1) * vocabularySize));
  };
  return {
    prefill: (prompts) => {
      const positions = prompts.ids.map((_, index) => index % prompts.width);
      return run(prompts.ids, positions, new Int32Array(batch), lastTokenRows(prompts));
    },
    step: (ids, positions) => {
      if (positions.some((position) => position >= capacity)) {
        capacity = Math.min(capacity + cacheBlock, longest);
        for (const cache of caches) growKeyValueCache(cache, capacity, { keyHeads });
      }
      return run(ids, positions, positions);
    },
    keepRows: (rows) => {
      caches = caches.map((cache) => pickRows(cache, rows));
    },
    dispose: () => caches.forEach((cache) => cache.dispose()),
  };
}

function pickRows(cache: KeyValueCache, rows: Int32Array): KeyValueCache {
  const pick = (tensor: tf.Tensor) => tf.tidy(() => tf.keep(tf.gather(tensor, tf.tensor1d(rows, 'int32'))));
  const picked: KeyValueCache = {
    ...{ batch: rows.length, capacity: cache.capacity, keys: pick(cache.keys), values: pick(cache.values) },
    dispose: () => tf.dispose([picked.keys, picked.values]),
  };
  cache.dispose();
  return picked;
}

function checkPrompt({ config }: LanguageModel, prompt: ArrayLike<number>, row: number, maxNewTokens: number): void {
  const length = prompt.length + maxNewTokens;
  const refuse = (problem: string) => {
    throw new DomainError('invalid_argument', `prompt ${row} ${problem}`);
  };
  if (prompt.length === 0) refuse('is empty: a response needs at least one token before it');
  if (length > config.maxPositions)
    refuse(
      `has ${prompt.length} tokens and ${maxNewTokens} may follow, the model has ${config.maxPositions} positions`,
    );
  for (let i = 0; i < prompt.length; i++)
    if (!(Number.isInteger(prompt[i]) && prompt[i]! >= 0 && prompt[i]! < config.vocabularySize))
      refuse(`has the id ${prompt[i]}, outside the vocabulary of ${config.vocabularySize}`);
}

function checkOptions({ maxNewTokens, temperature = 1, topK = 1, topP = 1, batchSize = 1 }: SampleOptions): void {
  const counts = { maxNewTokens, topK, batchSize };
  for (const [name, value] of Object.entries(counts))
    if (!Number.isSafeInteger(value) || value < 1) invalidOption(name, value, 'a whole number of at least 1');
  if (!(temperature > 0 && temperature < Infinity))
    invalidOption('temperature', temperature, 'a number above 0 (for the most likely token use greedy)');
  if (!(topP > 0 && topP <= 1)) invalidOption('topP', topP, 'a number above 0 and at most 1');
}

function invalidOption(name: string, value: number, needs: string): never {
  throw new DomainError('invalid_argument', `${name} is ${value}, needs ${needs}`);
}
