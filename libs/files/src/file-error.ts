import { DomainError, type ErrorKind } from '@surefoot/errors';

const reasons: Record<string, [ErrorKind, string]> = {
  ENOENT: ['not_found', 'it does not exist'],
  EACCES: ['failed_precondition', 'permission denied'],
  EPERM: ['failed_precondition', 'permission denied'],
  EROFS: ['failed_precondition', 'the file system is read-only'],
  ENOTDIR: ['failed_precondition', 'it, or a part of its path, is not a folder'],
  EISDIR: ['failed_precondition', 'it is a folder'],
  EEXIST: ['already_exists', 'it exists already'],
  ENOTEMPTY: ['already_exists', 'it exists already and is not empty'],
  ENOSPC: ['resource_exhausted', 'the disk is full'],
  EDQUOT: ['resource_exhausted', 'the disk quota is used up'],
  EFBIG: ['resource_exhausted', 'the file would be too large'],
  EMFILE: ['resource_exhausted', 'this process has too many files open, see ulimit -n'],
  ENFILE: ['resource_exhausted', 'this machine has too many files open'],
};

/** An error of the file system as a DomainError that names the path; any other error as it is. */
export function fileError(error: unknown, action: 'read' | 'write', path: string): unknown {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  const reason = typeof code === 'string' ? reasons[code] : undefined;
  if (!reason) return error;
  return new DomainError(reason[0], `cannot ${action} ${path}: ${reason[1]}`, { cause: error });
}
