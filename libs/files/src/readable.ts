import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { DomainError } from '@surefoot/errors';
import { fileError } from './file-error';

/** As shells name what they connect a command to; it ends by itself. */
const connected = /^\/(dev\/(fd\/\d+|stdin|null)|proc\/self\/fd\/\d+)$/;

/**
 * What a path leads to, before it is opened: a pipe in a folder of files would be waited for, and a device read, without end.
 *
 * @throws DomainError not_found; failed_precondition for a pipe or a device that no shell has connected
 */
export async function statReadable(path: string): Promise<Stats> {
  const found = await stat(path).catch((error: unknown) => {
    throw fileError(error, 'read', path);
  });
  if (!found.isFile() && !found.isDirectory() && !connected.test(path))
    throw new DomainError(
      'failed_precondition',
      `cannot read ${path}: it is not a file (what a command writes is read from -)`,
    );
  return found;
}
