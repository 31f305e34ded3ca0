import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { freemem, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { openBackend } from './index';
import { availableMemory } from './system-memory';

const folders: string[] = [];
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })));

/** A folder with the files of a machine. */
function machine(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'surefoot-memory-'));
  folders.push(root);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return root;
}

const group = (path: string, limit: string, used: number, pages: number) => ({
  [join('sys/fs/cgroup', path, 'memory.max')]: `${limit}\n`,
  [join('sys/fs/cgroup', path, 'memory.current')]: `${used}\n`,
  [join('sys/fs/cgroup', path, 'memory.stat')]: `anon 5\nfile 9\ninactive_file ${pages}\nactive_file 3\n`,
});
const inGroup = (path: string) => ({ 'proc/self/cgroup': `1:name=systemd:/\n0::${path}\n` });

describe('memory that is available', () => {
  test('a container has its limit less what is used, pages of files not counted', () => {
    expect(availableMemory(machine({ ...inGroup('/'), ...group('/', '1000', 700, 300) }))).toBe(600);
  });

  test('of groups in each other the one with the least room decides', () => {
    const groups = { ...group('/pod/app', 'max', 10, 0), ...group('/pod', '1000', 900, 50) };
    expect(availableMemory(machine({ ...inGroup('/pod/app'), ...groups }))).toBe(150);
  });

  test('more used than the limit is none, and no limit is what the machine has', () => {
    expect(availableMemory(machine({ ...inGroup('/'), ...group('/', '1000', 1700, 300) }))).toBe(0);
    for (const files of [{}, inGroup('/'), { ...inGroup('/'), ...group('/', 'max', 1, 1) }]) {
      const bytes = availableMemory(machine(files));
      expect(bytes).toBeGreaterThan(1000);
      expect(bytes).toBeLessThanOrEqual(1.5 * freemem());
    }
  });
});

describe.each(['cpu', 'wasm'] as const)('memory of backend %s', (name) => {
  test('is read when it is asked for, shared by its heaps, and a number where the backend is sent', async () => {
    const alone = await openBackend(name);
    const shared = await openBackend(name, { heaps: 1000 });
    expect(shared.memoryBytes).toBeLessThan(alone.memoryBytes);
    const before = shared.memoryBytes;
    const tensor = tf.zeros([2 ** 24]);
    await tensor.data();
    expect(shared.memoryBytes).toBeGreaterThan(before + 2 ** 25);
    tensor.dispose();
    expect(typeof structuredClone(shared).memoryBytes).toBe('number');
  });
});
