import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from '@jest/globals';
import { createLiveRun, type RunEvent } from './live-run';
import { createSettings } from './testing';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const never = new AbortController().signal;
const createRun = () =>
  createLiveRun('folder', { id: 'a', state: 'queued', settings: createSettings(), iteration: 0, seconds: 0 });
const line = (iteration: number) => ({ iteration, metrics: { 'objective/kl': 1, 'time/seconds': iteration / 2 } });
const describeEvent = (event: RunEvent) => ('line' in event ? event.line.iteration : event.run.state);

async function collect(events: AsyncGenerator<RunEvent>) {
  const seen = [];
  for await (const event of events) seen.push(describeEvent(event));
  return seen;
}

describe('a live run', () => {
  test('tells every watcher each iteration and each change of state, in order, to its end', async () => {
    const run = createRun();
    const watching = [collect(run.events(never)), collect(run.events(never))];
    run.update({ state: 'running' });
    run.iterationDone(line(1));
    await new Promise(setImmediate);
    run.iterationDone(line(2));
    run.update({ state: 'completed' });
    run.end();
    for (const seen of await Promise.all(watching)) expect(seen).toEqual(['running', 1, 2, 'completed']);
  });

  test('tells each change of its stage once', async () => {
    const run = createRun();
    const events = run.events(never);
    const seen = (async () => {
      const stages = [];
      for await (const event of events) if ('run' in event) stages.push(event.run.stage?.done);
      return stages;
    })();
    run.update({ stage: { name: 'reference samples', done: 0, total: 256 } });
    run.update({ stage: { name: 'reference samples', done: 128, total: 256 } });
    run.update({ stage: undefined });
    run.update({ stage: undefined });
    run.end();
    expect(await seen).toEqual([0, 128, undefined]);
  });

  test('tells of a warning at once', async () => {
    const run = createRun();
    const events = run.events(never);
    const seen = events.next();
    run.update({ warnings: ['responses are cut'] });
    expect((await seen).value).toMatchObject({ run: { warnings: ['responses are cut'] } });
    await events.return(undefined);
  });

  test('keeps count of iterations and seconds; a change of anything but state, stage and warnings is no news', () => {
    const run = createRun();
    run.iterationDone(line(3));
    run.update({ ensemble: { name: 'e', version: '1', digest: '2' } });
    expect(run.run()).toMatchObject({ iteration: 3, seconds: 1.5, state: 'queued', ensemble: { name: 'e' } });
  });

  test('lets a watcher leave', async () => {
    const run = createRun();
    const leaving = new AbortController();
    const seen = collect(run.events(leaving.signal));
    run.iterationDone(line(1));
    await new Promise(setImmediate);
    leaving.abort();
    run.iterationDone(line(2));
    expect(await seen).toEqual([1]);
  });

  test('sends a watcher away that is too slow, rather than keep everything for it', async () => {
    const run = createRun();
    const events = run.events(never);
    const first = events.next();
    for (let iteration = 1; iteration <= 10_002; iteration += 1) run.iterationDone(line(iteration));
    await expect(first.then(() => events.next())).rejects.toMatchObject({ kind: 'resource_exhausted' });
  });

  test('lets go of the events of a watcher that has stalled', async () => {
    const run = createRun();
    const events = run.events(never);
    const first = events.next();
    run.iterationDone(line(1));
    await first;
    const waiting = new WeakRef(line(2));
    run.iterationDone(waiting.deref()!);
    for (let iteration = 3; iteration <= 10_002; iteration += 1) run.iterationDone(line(iteration));
    // A weak reference holds until the turn ends.
    await new Promise(setImmediate);
    collectGarbage();
    expect(waiting.deref()).toBeUndefined();
  });
});
