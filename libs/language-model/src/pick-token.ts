import { DomainError } from '@surefoot/errors';

/** How the next token is drawn. */
export interface TokenChoice {
  /** Divides the logits, > 0, default 1. */
  temperature?: number;
  /** Draw among this many most likely tokens; default all. */
  topK?: number;
  /** Draw among the fewest most likely tokens whose probabilities sum to at least this, (0, 1], default 1. */
  topP?: number;
  /** Take the most likely token, the first of equals; no draw is used. */
  greedy?: boolean;
}

/**
 * The next token by inverse distribution function: the first whose cumulative probability exceeds the draw.
 *
 * Computed in float64 from float32 logits, so that equal logits give equal tokens on every machine.
 *
 * @param logits one row of [M, V]
 * @param draw gives one number of [0, 1); called once, or not at all when greedy
 * @throws DomainError diverged if a logit is not finite
 */
export function pickToken(
  logits: Float32Array,
  { temperature = 1, topK, topP = 1, greedy = false }: TokenChoice,
  draw: () => number,
): number {
  let best = 0;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (logit - logit !== 0)
      throw new DomainError('diverged', `the logit of token ${id} is ${logit}: sampling stopped`);
    if (logit > logits[best]!) best = id;
  }
  if (greedy) return best;
  const weights = new Float64Array(logits.length);
  for (let id = 0; id < logits.length; id++) weights[id] = Math.exp((logits[id]! - logits[best]!) / temperature);
  const kept = topK === undefined && topP === 1 ? undefined : likeliest(weights, topK ?? weights.length, topP);
  return invert(weights, kept, draw());
}

function invert(weights: Float64Array, kept: Uint32Array | undefined, draw: number): number {
  const count = kept?.length ?? weights.length;
  const idAt = (index: number) => (kept ? kept[index]! : index);
  let total = 0;
  for (let index = 0; index < count; index++) total += weights[idAt(index)]!;
  let rest = draw * total;
  for (let index = 0; index < count; index++) {
    rest -= weights[idAt(index)]!;
    if (rest < 0) return idAt(index);
  }
  // Rounding can leave a rest at a draw next to 1: then it is the last token of any probability.
  let last = count - 1;
  while (weights[idAt(last)] === 0) last -= 1;
  return idAt(last);
}

/** Ids of the most likely tokens, from the likeliest down; of equals the smaller id first. */
function likeliest(weights: Float64Array, topK: number, topP: number): Uint32Array {
  if (topK >= weights.length) return nucleus(weights, topP, sumOf(weights));
  const first = likeliestOf(weights, topK);
  return reaching(weights, first, topP * sumAt(weights, first)) ?? first;
}

/** The fewest of the likeliest tokens that make up top-p of all. A vocabulary is long: only as many are sorted as are needed. */
function nucleus(weights: Float64Array, topP: number, total: number): Uint32Array {
  for (let count = 64; count < weights.length; count *= 8) {
    const enough = reaching(weights, likeliestOf(weights, count), topP * total);
    if (enough) return enough;
  }
  const all = likeliestOf(weights, weights.length);
  return reaching(weights, all, topP * total) ?? all;
}

/** The first of these tokens whose weights sum to at least so much; undefined where all together do not. */
function reaching(weights: Float64Array, ids: Uint32Array, least: number): Uint32Array | undefined {
  let sum = 0;
  const last = ids.findIndex((id) => (sum += weights[id]!) >= least);
  return last < 0 ? undefined : ids.subarray(0, last + 1);
}

/** Ids of the `count` largest weights, from the largest down; of equals the smaller id first. */
function likeliestOf(weights: Float64Array, count: number): Uint32Array {
  const least = count < weights.length ? largest(weights, count) : 0;
  const candidates = new Uint32Array(weights.length);
  let found = 0;
  for (let id = 0; id < weights.length; id++) if (weights[id]! >= least) candidates[found++] = id;
  const sorted = candidates.subarray(0, found).sort((a, b) => weights[b]! - weights[a]! || a - b);
  return sorted.subarray(0, count);
}

/** The k-th largest of more than k weights. */
function largest(weights: Float64Array, k: number): number {
  const kept = new Float64Array(2 * k);
  let count = 0;
  let least = -1;
  for (let id = 0; id < weights.length; id++) {
    if (weights[id]! <= least) continue;
    kept[count++] = weights[id]!;
    if (count < kept.length) continue;
    // Sorted upwards: the k largest so far move to the front, and no smaller one need be kept any more.
    kept.sort().copyWithin(0, k);
    count = k;
    least = kept[0]!;
  }
  return kept.subarray(0, count).sort()[count - k]!;
}

function sumOf(weights: Float64Array): number {
  return weights.reduce((sum, weight) => sum + weight, 0);
}

function sumAt(weights: Float64Array, ids: Uint32Array): number {
  return ids.reduce((sum, id) => sum + weights[id]!, 0);
}
