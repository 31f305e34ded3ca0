/**
 * Remembers the last few results by key, so that runs of one process that begin alike measure their beginning once.
 *
 * @param capacity how many results; the oldest is forgotten first
 * @returns gives what it remembers, or makes it; a failure is not remembered
 */
export function createMemo<Value>(capacity: number): (key: unknown, make: () => Promise<Value>) => Promise<Value> {
  const values = new Map<string, Value>();
  return async (key, make) => {
    const name = JSON.stringify(key);
    const known = values.get(name);
    if (known !== undefined) return known;
    const value = await make();
    values.set(name, value);
    const [oldest] = values.keys();
    if (values.size > capacity && oldest !== undefined) values.delete(oldest);
    return value;
  };
}
