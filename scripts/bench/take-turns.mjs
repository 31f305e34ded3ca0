// Backends take turns at one measurement, so that whatever else the machine does meets them alike.
import { loadavg } from 'node:os';
import { isSmall } from './measurements.mjs';
import { round } from './round.mjs';

/** Milliseconds of a turn: long enough that coming back to cold caches does not count. */
const turnMs = 250;

/**
 * Prepares a measurement on every backend that takes part in it.
 *
 * @returns entries with their runs so far; one that failed has a `problem` and takes no turns
 */
export async function prepare(measurement, backends) {
  const entries = measurement.ways.flatMap(({ name, way = '', on }) =>
    backends
      .filter((backend) => on(backend) && (!backend.isReference || isSmall(measurement)))
      .map((backend) => ({ measurement, backend, name, way, key: `${name} ${measurement.size}`, runs: [] })),
  );
  for (const entry of entries)
    await guarded(entry, async ({ backend, key, name }) => {
      entry.runs.push(...(await backend.ask('prepare', { key, name, size: measurement.size })));
    });
  return entries;
}

/** Adds runs to each entry for `forMs` milliseconds: at least one, and until there are two. */
export async function takeTurns(entries, forMs) {
  const spent = new Map(entries.map((entry) => [entry, 0]));
  const isDue = (entry) => !entry.problem && (spent.get(entry) < forMs || entry.runs.length < 2);
  while (entries.some(isDue))
    for (const entry of entries.filter(isDue))
      await guarded(entry, async ({ backend, key }) => {
        const runs = await backend.ask('turn', { key, forMs: Math.min(turnMs, forMs) });
        entry.runs.push(...runs);
        spent.set(entry, spent.get(entry) + total(runs));
      });
}

/** Frees what the entries hold; @returns a figure each. */
export async function finish(entries) {
  for (const entry of entries) await guarded(entry, ({ backend, key }) => backend.ask('finish', { key }));
  return entries.map(figure);
}

async function guarded(entry, turn) {
  if (entry.problem) return;
  try {
    await turn(entry);
  } catch (error) {
    entry.problem = error.message;
  }
}

function figure({ measurement, backend, way, runs, problem }) {
  const { task, size, shape, amount, unit } = measurement;
  const about = { task, size, shape, backend: backend.name, way, threads: way === 'two Workers' ? 2 : backend.threads };
  if (problem) return { ...about, problem };
  const times = runs.map(({ ms }) => ms).sort((a, b) => a - b);
  const fastest = runs.find(({ ms }) => ms === times[0]);
  return {
    ...about,
    leastMs: round(times[0]),
    medianMs: round(times[times.length >> 1]),
    n: runs.length,
    totalMs: round(total(runs)),
    leastCpuMs: round(Math.min(...runs.map(({ cpuMs }) => cpuMs))),
    perSecond: round((1000 * amount) / times[0]),
    unit,
    ...(fastest.parts && { parts: mapValues(fastest.parts, round) }),
    load1: round(loadavg()[0]),
  };
}

function total(runs) {
  return runs.reduce((sum, { ms }) => sum + ms, 0);
}

function mapValues(record, map) {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]));
}
