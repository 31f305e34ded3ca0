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
  const order = Uint32Array.from(weights.keys()).sort((a, b) => weights[b]! - weights[a]! || a - b);
  const first = order.subarray(0, topK);
  const total = first.reduce((sum, id) => sum + weights[id]!, 0);
  let sum = 0;
  const enough = first.findIndex((id) => (sum += weights[id]!) >= topP * total);
  return enough < 0 ? first : first.subarray(0, enough + 1);
}
