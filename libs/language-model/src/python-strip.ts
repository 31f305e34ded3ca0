/** What Python's str.isspace accepts; JavaScript's own trim also takes U+FEFF and leaves U+001C–U+001F and U+0085. */
const whiteSpace = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

/** Which ends of a text are stripped. */
export type StripSide = 'both' | 'left' | 'right';

/**
 * A text without the white space at its ends, as Python's `str.strip`, `lstrip` and `rstrip` define it.
 *
 * @param characters the set of characters to strip in place of white space
 */
export function pythonStrip(text: string, side: StripSide = 'both', characters?: string): string {
  // Not one regular expression with an anchor: on long runs of white space that takes quadratic time.
  const points = [...text];
  const isStripped = (point: string) =>
    characters === undefined ? whiteSpace.test(point) : characters.includes(point);
  let [start, end] = [0, points.length];
  while (side !== 'right' && start < end && isStripped(points[start]!)) start += 1;
  while (side !== 'left' && start < end && isStripped(points[end - 1]!)) end -= 1;
  return points.slice(start, end).join('');
}
