import { invalid } from './checks';

/**
 * Mean of the elements under the mask.
 *
 * @param x    masked elements are never read, so they may be NaN
 * @param mask 1 counts, 0 does not; as long as `x`
 * @throws DomainError invalid_argument if the lengths differ, the mask holds another number or is empty
 */
export function maskedMean(x: ArrayLike<number>, mask: ArrayLike<number>): number {
  const { sum, count } = masked(x, mask, (value) => value);
  return sum / count;
}

/**
 * Variance of the elements under the mask: over their number n, or n - 1 with `unbiased`.
 *
 * @throws DomainError invalid_argument as `maskedMean`; also with `unbiased` and one element
 */
export function maskedVariance(
  x: ArrayLike<number>,
  mask: ArrayLike<number>,
  { unbiased = false }: { unbiased?: boolean } = {},
): number {
  const mean = maskedMean(x, mask);
  const { sum, count } = masked(x, mask, (value) => (value - mean) ** 2);
  if (unbiased && count < 2) throw invalid('an unbiased variance needs two elements under the mask');
  return sum / (unbiased ? count - 1 : count);
}

/**
 * Masked standardisation: `(x - mean) / sqrt(variance + epsilon)` under the mask, 0 elsewhere.
 *
 * @param options.shiftMean false keeps the mean where it was; default true
 * @param options.unbiased  variance over n - 1; default false
 * @param options.epsilon   default 1e-8
 * @throws DomainError invalid_argument as `maskedVariance`
 */
export function whiten(
  x: ArrayLike<number>,
  mask: ArrayLike<number>,
  options: { shiftMean?: boolean; unbiased?: boolean; epsilon?: number } = {},
): Float64Array {
  const { shiftMean = true, unbiased = false, epsilon = 1e-8 } = options;
  const mean = maskedMean(x, mask);
  const scale = 1 / Math.sqrt(maskedVariance(x, mask, { unbiased }) + epsilon);
  const shift = shiftMean ? 0 : mean;
  return Float64Array.from(x, (value, i) => (mask[i] === 0 ? 0 : (value - mean) * scale + shift));
}

function masked(x: ArrayLike<number>, mask: ArrayLike<number>, term: (value: number) => number) {
  if (x.length !== mask.length) throw invalid(`${x.length} elements under a mask of ${mask.length}`);
  let sum = 0;
  let count = 0;
  for (let i = 0; i < x.length; i++) {
    if (mask[i] === 0) continue;
    if (mask[i] !== 1) throw invalid(`mask[${i}] is ${mask[i]}, needs 0 or 1`);
    sum += term(x[i] as number);
    count += 1;
  }
  if (count === 0) throw invalid('the mask leaves no element');
  return { sum, count };
}
