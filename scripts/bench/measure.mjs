// How the benchmarks time: least of several runs, as the undisturbed time on a shared machine.

/** Least and median milliseconds of `run` over at least `least` runs and `forMs` milliseconds, after two to warm up. */
export async function time(run, { forMs = 1500, least = 5 } = {}) {
  for (let i = 0; i < 2; i++) await run();
  const times = [];
  const start = performance.now();
  while (times.length < least || performance.now() - start < forMs) {
    const from = performance.now();
    await run();
    times.push(performance.now() - from);
  }
  times.sort((a, b) => a - b);
  return { ms: round(times[0]), medianMs: round(times[times.length >> 1]), runs: times.length };
}

/** To two decimals. */
export function round(x) {
  return Math.round(x * 100) / 100;
}

/** An aligned text table of rows with the same keys. */
export function table(rows) {
  const keys = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cells = [keys, ...rows.map((row) => keys.map((key) => String(row[key] ?? '')))];
  const widths = keys.map((_, column) => Math.max(...cells.map((line) => line[column].length)));
  return cells.map((line) => line.map((cell, column) => cell.padEnd(widths[column])).join('  ')).join('\n');
}
