/**
 * A value of a Parquet row as JSON would have it: whole numbers of 64 bits as numbers where those are exact, else as their
 * digits; typed arrays as lists. Bytes that are no text stay a `Uint8Array`.
 *
 * @param depth how many lists and structs may lie in one another
 */
export function plainValue(value: unknown, depth: number): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if (value === undefined) return null; // a list or struct that is null
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (depth < 0) throw new Error('its values lie deeper in one another than its schema says');
  if (Array.isArray(value)) return value.map((each) => plainValue(each, depth - 1));
  if (ArrayBuffer.isView(value)) return Array.from(value as Float64Array, (each) => plainValue(each, depth - 1));
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plainValue(each, depth - 1)]));
}
