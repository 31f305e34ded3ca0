import { describe, expect, test } from '@jest/globals';
import { createRunQueue } from './run-queue';

/** Work that notes its start and ends when told to, or when aborted. */
function createWork(log: string[]) {
  const ends = new Map<string, () => void>();
  return {
    work: (id: string) => (signal: AbortSignal) =>
      new Promise<void>((resolve) => {
        log.push(`start ${id}`);
        const end = (how: string) => () => {
          log.push(`${how} ${id}`);
          resolve();
        };
        ends.set(id, end('end'));
        signal.addEventListener('abort', end('abort'));
      }),
    end: async (id: string) => {
      ends.get(id)?.();
      await new Promise(setImmediate);
    },
  };
}

describe('the run queue', () => {
  test('runs one piece of work at a time, in the order of arrival', async () => {
    const log: string[] = [];
    const { work, end } = createWork(log);
    const queue = createRunQueue(10);
    for (const id of ['a', 'b', 'c']) queue.add(id, work(id));
    await end('a');
    await end('b');
    expect(log).toEqual(['start a', 'end a', 'start b', 'end b', 'start c']);
    await queue.close();
  });

  test('cancel takes waiting work out, aborts running work, and knows nothing else', async () => {
    const log: string[] = [];
    const { work } = createWork(log);
    const queue = createRunQueue(10);
    for (const id of ['a', 'b', 'c']) queue.add(id, work(id));
    expect([queue.cancel('b'), queue.cancel('a'), queue.cancel('d')]).toEqual(['removed', 'aborted', 'absent']);
    await new Promise(setImmediate);
    expect(log).toEqual(['start a', 'abort a', 'start c']);
    await queue.close();
  });

  test('refuses work beyond its capacity, and after it closed', async () => {
    const { work } = createWork([]);
    const queue = createRunQueue(1);
    queue.add('a', work('a'));
    queue.add('b', work('b'));
    expect(() => queue.add('c', work('c'))).toThrow('1 runs are waiting');
    await queue.close();
    expect(() => queue.add('d', work('d'))).toThrow('shutting down');
  });

  test('close aborts what runs, waits for it, and starts nothing more', async () => {
    const log: string[] = [];
    const { work } = createWork(log);
    const queue = createRunQueue(10);
    for (const id of ['a', 'b']) queue.add(id, work(id));
    await queue.close();
    expect(log).toEqual(['start a', 'abort a']);
  });
});
