/** One hyper-parameter: its default and what it may be. */
export interface Field<Value> {
  default: Value;
  /** What was expected, in words, where the value is not that; undefined where it is. */
  expected: (value: unknown) => string | undefined;
}

/** A whole number from `least` to `most`. */
export function integer(byDefault: number, least: number, most: number): Field<number> {
  const isValid = (value: unknown) =>
    Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
  return {
    default: byDefault,
    expected: (value) => (isValid(value) ? undefined : `a whole number from ${least} to ${most}`),
  };
}

/** A number in an interval written as in mathematics, `(0, 1]`; NaN lies in none. */
export function real(byDefault: number, interval: string): Field<number> {
  const contains = parseInterval(interval);
  return {
    default: byDefault,
    expected: (value) => (typeof value === 'number' && contains(value) ? undefined : inWords(interval)),
  };
}

/** As `real`, or null for "not set". */
export function realOrNull(byDefault: number | null, interval: string): Field<number | null> {
  const { expected } = real(0, interval);
  return { default: byDefault, expected: (value) => (value === null ? undefined : expected(value)) };
}

/** One of a few words. */
export function choice<Word extends string>(byDefault: Word, words: readonly Word[]): Field<Word> {
  return {
    default: byDefault,
    expected: (value) => (words.includes(value as Word) ? undefined : `one of ${words.join(', ')}`),
  };
}

function inWords(interval: string): string {
  const [least, most] = interval.slice(1, -1).split(', ');
  if (!most!.endsWith('Infinity')) return `a number in ${interval}`;
  if (least === '-Infinity') return 'a finite number';
  return interval.startsWith('[') ? `a number of at least ${least}` : `a number above ${least}`;
}

function parseInterval(interval: string): (value: number) => boolean {
  const [least, most] = interval.slice(1, -1).split(',').map(Number) as [number, number];
  const isAbove = interval.startsWith('[') ? (value: number) => value >= least : (value: number) => value > least;
  const isBelow = interval.endsWith(']') ? (value: number) => value <= most : (value: number) => value < most;
  return (value) => isAbove(value) && isBelow(value);
}
