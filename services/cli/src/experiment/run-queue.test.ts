import { expect, test } from '@jest/globals';
import { createRunQueue } from './run-queue';

test('gives what it has in order, and ends when all is done', async () => {
  const queue = createRunQueue(['a', 'b']);
  expect([await queue.take(), await queue.take(), queue.waiting()]).toEqual(['a', 'b', 0]);
  const idle = queue.take();
  queue.done();
  queue.done();
  expect(await idle).toBeUndefined();
});

test('who waits gets what comes back, before the others', async () => {
  const queue = createRunQueue(['a', 'b']);
  await queue.take();
  queue.giveBack('a');
  expect([await queue.take(), await queue.take()]).toEqual(['a', 'b']);
  const [first, second] = [queue.take(), queue.take()];
  queue.giveBack('b');
  expect(await first).toBe('b');
  queue.done();
  queue.done();
  expect(await second).toBeUndefined();
});

test('closed, it gives nothing, whatever comes back', async () => {
  const queue = createRunQueue(['a', 'b']);
  await queue.take();
  queue.close();
  queue.giveBack('a');
  expect(await queue.take()).toBeUndefined();
});
