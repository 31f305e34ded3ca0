import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { openMetricsFile, readMetrics } from './metrics-file';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'metrics-'));
  path = join(folder, 'metrics.jsonl');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function append(from: number, ...iterations: number[]): Promise<void> {
  const file = await openMetricsFile(path, from);
  for (const iteration of iterations) await file.append({ iteration, metrics: { 'objective/kl': iteration / 4 } });
  await file.close();
}

describe('metrics.jsonl', () => {
  test('is read back as written; numbers that are not finite are left out', async () => {
    const file = await openMetricsFile(path, 0);
    await file.append({ iteration: 1, metrics: { 'objective/kl': 0.1, 'value/explained_variance': Number.NaN } });
    await file.close();
    expect(await readMetrics(path)).toEqual([{ iteration: 1, metrics: { 'objective/kl': 0.1 } }]);
  });

  test('is cut back to the checkpoint, half a line included', async () => {
    await append(0, 1, 2, 3);
    writeFileSync(path, '{"iteration":4,"objec', { flag: 'a' });
    expect(await readMetrics(path)).toHaveLength(3);
    await append(2, 3);
    expect(readFileSync(path, 'utf8')).toBe(
      '{"iteration":1,"objective/kl":0.25}\n{"iteration":2,"objective/kl":0.5}\n{"iteration":3,"objective/kl":0.75}\n',
    );
  });

  test('that lacks lines of the checkpoint is refused and left as it is', async () => {
    await append(0, 1, 2);
    await expect(openMetricsFile(path, 3)).rejects.toMatchObject({ kind: 'failed_precondition' });
    expect(await readMetrics(path)).toHaveLength(2);
  });

  test('reads as empty where it does not exist', async () => {
    expect(await readMetrics(path)).toEqual([]);
  });
});
