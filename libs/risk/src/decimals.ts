/** A smaller size is an error of rounding. */
const smallestSize = 1e-8;

/**
 * How many decimals show two significant digits of the smallest of some sizes, such as standard deviations or widths of
 * intervals; numbers of that size are then not rounded to nothing, whatever their unit.
 *
 * @param sizes >= 0; null and sizes below 1e-8 are passed over
 * @param least decimals where that is enough, default 2
 */
export function decimalsFor(sizes: readonly (number | null)[], least = 2): number {
  const smallest = Math.min(...sizes.map((size) => (size !== null && size >= smallestSize ? size : Infinity)));
  return Math.max(least, 1 - Math.floor(Math.log10(smallest)));
}
