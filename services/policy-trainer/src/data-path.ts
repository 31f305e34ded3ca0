import { realpath, stat } from 'node:fs/promises';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { DomainError } from '@surefoot/errors';

/**
 * The real path of a file or folder that a request names, which must lie under the data directory, symbolic links followed.
 *
 * @param root the data directory
 * @param path as the request names it: relative to `root`, or absolute and under it
 * @param what the request's field, and which of file or folder it must be; both appear in errors
 * @throws DomainError invalid_argument (empty, outside, wrong kind), not_found
 */
export async function resolveDataPath(
  root: string,
  path: string,
  what: { field: string; kind: 'file' | 'folder' },
): Promise<string> {
  if (path === '' || path.includes('\0') || path.length > 4096)
    throw new DomainError('invalid_argument', `${what.field} must be a path of 1..4096 characters`);
  const realRoot = await realPathOf(root, `the data directory ${root}`);
  const named = resolve(root, path);
  const outside = new DomainError('invalid_argument', `${what.field}: ${path} is outside the data directory`);
  // Checked by name before the file system is asked, so that nobody learns what exists elsewhere.
  if (!isInside(resolve(root), named) && !isInside(realRoot, named)) throw outside;
  const real = await realPathOf(named, `${what.field}: ${path}`);
  if (!isInside(realRoot, real)) throw outside;
  const found = await stat(real);
  if (what.kind === 'folder' ? !found.isDirectory() : !found.isFile())
    throw new DomainError('invalid_argument', `${what.field}: ${path} is not a ${what.kind}`);
  return real;
}

function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

async function realPathOf(path: string, name: string): Promise<string> {
  try {
    return await realpath(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new DomainError('not_found', `${name} does not exist`, { cause: error });
    throw new DomainError('failed_precondition', `${name} cannot be opened (${code ?? 'unknown reason'})`, {
      cause: error,
    });
  }
}
