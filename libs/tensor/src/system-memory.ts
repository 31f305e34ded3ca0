import { readFileSync } from 'node:fs';
import { freemem } from 'node:os';
import { dirname, join } from 'node:path';
import { heldBytes } from './held-bytes';

/**
 * Bytes that the machine, and the limits of the control groups of this process, leave to it now. Pages of files that were read
 * count as left: the kernel gives them up when memory is needed, and `process.availableMemory` counts them as used.
 *
 * @param root where `proc` and `sys` are
 */
export function availableMemory(root = '/'): number {
  const rooms = groupFolders(root).flatMap((folder) => roomOfGroup(folder) ?? []);
  // Without a limit of version 2 there may be one of version 1, which Node reads.
  const left = rooms.length > 0 ? Math.min(...rooms) : process.availableMemory();
  return Math.max(0, Math.min(freemem(), left));
}

/**
 * Bytes that all tensors of this thread may take in the memory of the system: what it has for them, and a share of what was left
 * at most 10 ms ago.
 *
 * @param heaps how many threads share what is left
 * @param held  what this thread has for them already; default what they take
 */
export function systemMemoryFor(heaps = 1, held = heldBytes()): number {
  const now = performance.now();
  if (!(now - lately.at < freshMs)) lately = { bytes: availableMemory(), at: now };
  return held + lately.bytes / heaps;
}

/** Reading the groups takes the time of several small kernels, and a batch asks twice for each member of an ensemble. */
const freshMs = 10;
let lately = { bytes: 0, at: -Infinity };

/** Folders of the group of this process and of those around it: each may have a limit. */
function groupFolders(root: string): string[] {
  const mount = join(root, 'sys/fs/cgroup');
  const path = /^0::\/(.*)$/m.exec(read(join(root, 'proc/self/cgroup')) ?? '')?.[1];
  if (path === undefined) return [];
  const folders = [join(mount, path)];
  while (folders.at(-1)!.length > mount.length + 1) folders.push(dirname(folders.at(-1)!));
  return folders;
}

/** Limit less what is used and is not pages of files; undefined where there is no limit. */
function roomOfGroup(folder: string): number | undefined {
  const [limit, used] = ['memory.max', 'memory.current'].map((file) => Number(read(join(folder, file)) ?? NaN));
  // A limit that is not set reads `max`.
  if (!Number.isFinite(limit) || !Number.isFinite(used)) return undefined;
  const pages = /^inactive_file (\d+)$/m.exec(read(join(folder, 'memory.stat')) ?? '')?.[1];
  return limit! - (used! - Number(pages ?? 0));
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
