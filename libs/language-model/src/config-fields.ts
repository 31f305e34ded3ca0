/** Reads the fields of a config.json and collects what is wrong with them, so that all is told at once. */
export interface ConfigFields {
  has(name: string): boolean;
  /** A whole number from `least` (1) to `most`, or the default where the field is absent or null; without one it must be there. */
  count(name: string, fallback?: number, range?: { least?: number; most?: number }): number;
  /** A whole number of at least 1; undefined where the field is null, or absent without a default. */
  optionalCount(name: string, fallback?: number): number | undefined;
  /** A finite number above 0. */
  positive(name: string, fallback?: number): number;
  /** A finite number above 0; undefined where the field is null. */
  optionalPositive(name: string, fallback: number): number | undefined;
  flag(name: string, fallback: boolean): boolean;
  /** What a text stands for. */
  choose<Value>(name: string, values: Record<string, Value>, fallback: Value): Value;
  /** A list of `length` texts, each one of those allowed; undefined where absent. */
  list(name: string, allowed: string[], length: number): string[] | undefined;
  /** Refuses all values but these, which are what is computed here; absent is fine. */
  allow(name: string, values: unknown[]): void;
  /** The fields of an object in a field; undefined where absent or null. */
  object(name: string): ConfigFields | undefined;
  problem(text: string): void;
}

/** @param problems to which what is wrong is added @param prefix of the names in messages */
export function configFields(fields: Record<string, unknown>, problems: string[], prefix = ''): ConfigFields {
  const problem = (text: string) => void problems.push(text);
  const json = (value: unknown) => JSON.stringify(value)?.slice(0, 100);
  const wrong = (name: string, needs: string) => problem(`${prefix}${name} is ${json(fields[name])}, needs ${needs}`);
  const reader: ConfigFields = {
    has: (name) => fields[name] != null,
    count(name, fallback, { least = 1, most = Number.MAX_SAFE_INTEGER } = {}) {
      const value = fields[name] ?? fallback;
      const isCount = Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most;
      if (isCount) return value as number;
      wrong(name, `a whole number of at least ${least}${most < Number.MAX_SAFE_INTEGER ? ` and at most ${most}` : ''}`);
      return 1;
    },
    optionalCount: (name, fallback) =>
      fields[name] === null || (fields[name] === undefined && fallback === undefined)
        ? undefined
        : reader.count(name, fallback),
    positive(name, fallback) {
      const value = fields[name] ?? fallback;
      if (typeof value === 'number' && value > 0 && value < Infinity) return value;
      wrong(name, 'a number above 0');
      return 1;
    },
    optionalPositive: (name, fallback) => (fields[name] === null ? undefined : reader.positive(name, fallback)),
    flag(name, fallback) {
      const value = fields[name] ?? fallback;
      if (typeof value !== 'boolean') wrong(name, 'true or false');
      return value === true;
    },
    choose(name, values, fallback) {
      const value = fields[name];
      if (value == null) return fallback;
      if (typeof value === 'string' && Object.hasOwn(values, value)) return values[value]!;
      problem(`${prefix}${name} ${json(value)} is not supported, only ${Object.keys(values).map(json).join(', ')}`);
      return fallback;
    },
    list(name, allowed, length) {
      const value = fields[name];
      if (value == null) return undefined;
      if (Array.isArray(value) && value.length === length && value.every((text) => allowed.includes(text as string)))
        return value as string[];
      wrong(name, `${length} of ${allowed.join(', ')}`);
      return undefined;
    },
    allow(name, values) {
      if (fields[name] !== undefined && !values.includes(fields[name]))
        problem(`${prefix}${name} ${json(fields[name])} is not supported, only ${values.map(json).join(', ')}`);
    },
    object(name) {
      const value = fields[name];
      if (value == null) return undefined;
      if (typeof value === 'object' && !Array.isArray(value))
        return configFields(value as Record<string, unknown>, problems, `${prefix}${name}.`);
      wrong(name, 'an object');
      return undefined;
    },
    problem,
  };
  return reader;
}
