import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { createComputeWorker, workerFile, type ComputeWorker } from './index';

type Remote = {
  double(values: Float32Array): Float32Array;
  throwDomain(): never;
  throwBug(): never;
  viaParent(text: string): Promise<string>;
  /** Tells the parent through `flags` that it computes, and goes on until the parent tells it to stop. @returns whether it did */
  spin(flags: Int32Array): boolean;
  exit(): void;
};

const folder = mkdtempSync(join(tmpdir(), 'surefoot-worker-'));
const file = join(folder, 'worker.js');
beforeAll(() => {
  writeFileSync(
    file,
    `const { exposeToParent, transferring } = require(${JSON.stringify(workerFile(__dirname, 'index'))});
     const { DomainError } = require(${JSON.stringify(require.resolve('@surefoot/errors').replace('src', 'dist').replace('.ts', '.js'))});
     const parent = exposeToParent({
       double: (values) => { const result = values.map((value) => 2 * value); return transferring(result, [result.buffer]); },
       throwDomain: () => { throw new DomainError('not_found', 'no such thing'); },
       throwBug: async () => { null.x; },
       viaParent: async (text) => 'worker heard: ' + (await parent('ask', text)),
       spin: (flags) => {
         const end = Date.now() + 30_000;
         for (Atomics.store(flags, 0, 1); Atomics.load(flags, 1) === 0;) if (Date.now() > end) return false;
         return true;
       },
       exit: () => process.exit(3),
     });`,
  );
});
const workers: ComputeWorker<Remote>[] = [];
afterEach(() => Promise.all(workers.splice(0).map((worker) => worker.close())));
afterAll(() => rmSync(folder, { recursive: true }));

function start(procedures = {}): ComputeWorker<Remote> {
  const worker = createComputeWorker<Remote>(file, { procedures });
  workers.push(worker);
  return worker;
}

test('a call gives its result, and buffers move both ways', async () => {
  const values = Float32Array.of(1, 2, 3);
  const doubled = await start().call('double', values, [values.buffer]);
  expect(Array.from(doubled)).toEqual([2, 4, 6]);
  expect(values).toHaveLength(0);
});

test('errors keep their kind, their message and their stack', async () => {
  const worker = start();
  await expect(worker.call('throwDomain', undefined)).rejects.toMatchObject({
    name: 'DomainError',
    kind: 'not_found',
    message: 'no such thing',
    stack: expect.stringContaining('worker.js'),
  });
  await expect(worker.call('throwBug', undefined)).rejects.toMatchObject({ message: expect.stringContaining('null') });
});

test('the worker calls functions of its parent', async () => {
  const worker = start({ ask: async (text: string) => text.toUpperCase() });
  expect(await worker.call('viaParent', 'hello')).toBe('worker heard: HELLO');
});

test('this thread goes on while the worker computes', async () => {
  const worker = start();
  const flags = new Int32Array(new SharedArrayBuffer(8));
  const spinning = worker.call('spin', flags);
  while (Atomics.load(flags, 0) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  Atomics.store(flags, 1, 1);
  expect(await spinning).toBe(true);
});

test('when the worker ends by itself, its calls and later ones are unavailable, and it is reported', async () => {
  const worker = start();
  const calls = [worker.call('exit', undefined), worker.call('throwBug', undefined)];
  for (const call of calls)
    await expect(call).rejects.toMatchObject({ kind: 'unavailable', message: 'worker.js has stopped: exit status 3' });
  expect(await worker.failed).toMatchObject({ kind: 'unavailable' });
  await expect(worker.call('throwBug', undefined)).rejects.toMatchObject({ kind: 'unavailable' });
});

test('workerFile is the compiled file beside the caller', () => {
  expect(workerFile('/a/src/b/src', 'thread')).toBe('/a/src/b/dist/thread.js');
  expect(workerFile('/a/src/inner', 'thread')).toBe('/a/dist/inner/thread.js');
  expect(workerFile('/a/dist', 'thread')).toBe('/a/dist/thread.js');
});
