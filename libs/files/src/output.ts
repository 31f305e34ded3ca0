import { constants, openSync } from 'node:fs';
import { open, readlink, realpath, stat } from 'node:fs/promises';
import { Socket } from 'node:net';
import { dirname, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { DomainError } from '@surefoot/errors';
import { fileError } from './file-error';
import { createWholeFile, makeFolder, writeWhole, type WholeFile } from './publish';

/**
 * A file to write that a user has named. As `writeFileAtomically`, and as other programs treat what they are given: folders that
 * are missing are made, a link stays and what it leads to is written, a pipe or a device is written through.
 * Ends in `publish` or `discard`.
 *
 * @throws DomainError naming the path: failed_precondition for a folder, a socket or a pipe that nobody reads any more; as `makeFolder`
 */
export async function createOutput(path: string): Promise<WholeFile> {
  const naming = (error: unknown): never => {
    throw outputError(error, path);
  };
  const found = await stat(path).catch(unlessMissing).catch(naming);
  if (found?.isDirectory()) return naming({ code: 'EISDIR' });
  if (found?.isSocket()) return naming({ code: 'ENXIO' });
  if (found?.isFIFO()) return openPipe(path).catch(naming);
  // A file that a shell has connected may hold what other commands have written.
  if (found && (!found.isFile() || connected.test(path))) return openThrough(path).catch(naming);
  const place = await leadsTo(path).catch(naming);
  await makeFolder(dirname(place));
  return createWholeFile(place, path);
}

/** Writes a file that a user has named, as `createOutput`. */
export async function writeOutput(path: string, data: string): Promise<void> {
  await writeWhole(await createOutput(path), data);
}

const connected = /^\/(dev\/(fd\/\d+|stdout|stderr)|proc\/self\/fd\/\d+)$/;

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

/** Where a file stands or will stand: also a link that leads to nothing yet says where. */
async function leadsTo(path: string): Promise<string> {
  const real = await realpath(path).catch(unlessMissing);
  if (real !== undefined) return real;
  const target = await readlink(path).catch(() => undefined);
  return target === undefined ? path : leadsTo(resolve(await realpath(dirname(path)), target));
}

async function openThrough(path: string): Promise<WholeFile> {
  const handle = await open(path, constants.O_WRONLY | constants.O_APPEND);
  return {
    write: (data) =>
      handle.writeFile(data).catch((error: unknown) => {
        throw outputError(error, path);
      }),
    publish: () => handle.close(),
    discard: () => handle.close(),
  };
}

const pollMs = 20;

/**
 * A named pipe, once it has a reader. Neither the wait for one nor a full pipe may hold one of the threads that Node opens and
 * writes files with: a process waits for these when it ends, so Ctrl-C would not end it.
 */
async function openPipe(path: string): Promise<WholeFile> {
  let fd: number | undefined;
  while ((fd = openIfRead(path)) === undefined) await setTimeout(pollMs);
  const pipe = new Socket({ fd, readable: false, writable: true });
  // Each write says itself how it ended.
  pipe.on('error', () => undefined);
  const writePiece = (piece: string | Uint8Array) =>
    new Promise<void>((done, fail) => {
      pipe.write(piece, (error) => (error ? fail(outputError(error, path)) : done()));
    });
  const close = async () => void pipe.destroy();
  return {
    async write(data) {
      for await (const piece of typeof data === 'string' || data instanceof Uint8Array ? [data] : data)
        await writePiece(piece);
    },
    publish: close,
    discard: close,
  };
}

function openIfRead(path: string): number | undefined {
  try {
    return openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error;
    return undefined;
  }
}

const reasons: Record<string, string> = {
  ELOOP: 'it is a link that leads in a circle',
  ENXIO: 'it is a socket or a device that is not there (- writes to stdout)',
  EPIPE: 'what read it has ended',
};

function outputError(error: unknown, path: string): unknown {
  const reason = reasons[(error as NodeJS.ErrnoException).code ?? ''];
  if (!reason) return fileError(error, 'write', path);
  return new DomainError('failed_precondition', `cannot write ${path}: ${reason}`, { cause: error });
}
