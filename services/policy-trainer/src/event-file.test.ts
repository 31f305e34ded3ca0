import { mkdir, mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createEventFile } from './event-file';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'surefoot-events-'));
});
afterEach(() => rm(folder, { recursive: true }));

const line = (iteration: number, loss: number) => ({ iteration, metrics: { loss, 'time/seconds': iteration * 2 } });

async function onlyFile(): Promise<Buffer> {
  const names = await readdir(folder);
  expect(names).toEqual([expect.stringMatching(/^events\.out\.tfevents\.\d+\.surefoot$/)]);
  return readFile(join(folder, names[0]!));
}

/** The data of each record. */
function records(file: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < file.length;) {
    const length = Number(file.readBigUInt64LE(at));
    found.push(file.subarray(at + 12, at + 12 + length));
    at += length + 16;
  }
  return found;
}

test('is byte for byte what TensorBoard 2.21 writes of the same event', async () => {
  const events = await createEventFile(folder, [], 1_700_000_000);
  await events.append({ iteration: 3, metrics: { 'objective/kl': 0.5, broken: NaN, 'beyond floats': 1e39 } });
  // EventFileWriter of wall times 1700000000, file version 2 and a scalar objective/kl of .5 at step 3.
  const expected =
    '1800000000000000a37f4b220900000040fc54d9411a0d627261696e2e4576656e743a32eced8f9d' +
    '220000000000000078113dfd0900000040fc54d94110032a150a130a0c6f626a6563746976652f6b6c150000003f935627f8';
  expect((await onlyFile()).toString('hex')).toBe(expected);
});

test('a run that goes on has each iteration once, at the time it was done', async () => {
  const first = await createEventFile(folder, [], 1000);
  for (const iteration of [1, 2, 3]) await first.append(line(iteration, 1 / iteration));
  const second = await createEventFile(folder, [line(1, 1), line(2, 0.5)], 5000);
  await second.append(line(3, 0.25));
  const [, ...steps] = records(await onlyFile());
  expect(steps.map((data) => data.readDoubleLE(1))).toEqual([4998, 5000, 5002]);
  expect(steps.map((data) => data[10])).toEqual([1, 2, 3]);
});

test('a folder that is gone is an error that names the file', async () => {
  const inside = join(folder, 'run');
  await mkdir(inside);
  const events = await createEventFile(inside, [], 1000);
  await rm(inside, { recursive: true });
  await expect(events.append(line(1, 1))).rejects.toThrow('events.out.tfevents.1000.surefoot');
});
