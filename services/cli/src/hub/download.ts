import { open, rm, stat, type FileHandle } from 'node:fs/promises';
import { DomainError } from '@surefoot/errors';
import { fileError } from '@surefoot/files';
import type { HubSettings } from './environment';
import { Transient, withRetries } from './patience';
import type { HubFile } from './repository';
import { request, type HubAnswer } from './request';

/** One file on its way. */
export interface Download {
  url: string;
  file: HubFile;
  /** For errors: repository and file. */
  subject: string;
  /** Where its bytes are gathered; what is there already is not asked for again. */
  partial: string;
  signal: AbortSignal;
  /** Told of bytes that were not there before. */
  onBytes: (bytes: number) => void;
  onRetry: (reason: string) => void;
}

/** An attempt that brings as much counts the attempts anew; a hundredth of the file does so too. */
const enoughBytes = 2 ** 20;

/**
 * Fetches what is missing of a file, with as many connections as it takes. Its digest is not looked at.
 *
 * @throws DomainError unavailable where attempts fail one after the other, or where the server does not keep to the size that
 *   it lists; resource_exhausted where the disk is full; what has arrived stays
 */
export async function download(settings: HubSettings, job: Download): Promise<void> {
  const { file, partial, signal, onRetry } = job;
  const enough = Math.min(enoughBytes, Math.ceil(file.bytes / 100));
  await withRetries(
    async (progressed) => {
      const handle = await openPartial(partial);
      try {
        const start = await startOf(handle, file.bytes, partial);
        if (start < file.bytes) await fetchFrom(settings, job, { handle, start, enough, progressed });
        await handle.sync();
      } catch (error) {
        throw fileError(error, 'write', partial);
      } finally {
        await handle.close();
      }
    },
    { patience: settings.patience, signal, onRetry },
  );
}

// Neither cut off nor appended to: another process may be writing the same bytes.
async function openPartial(partial: string): Promise<FileHandle> {
  try {
    return await open(partial, 'r+').catch(() =>
      open(partial, 'a')
        .then((made) => made.close())
        .then(() => open(partial, 'r+')),
    );
  } catch (error) {
    throw fileError(error, 'write', partial);
  }
}

async function startOf(handle: FileHandle, bytes: number, partial: string): Promise<number> {
  const { size } = await handle.stat();
  if (size <= bytes) return size;
  await rm(partial, { force: true });
  throw new Transient('more had arrived than the file holds');
}

async function fetchFrom(
  settings: HubSettings,
  { url, file, subject, signal, onBytes }: Download,
  { handle, start, enough, progressed }: { handle: FileHandle; start: number; enough: number; progressed: () => void },
): Promise<void> {
  const headers = { range: `bytes=${start}-`, 'accept-encoding': 'identity' };
  await request(settings, { url, subject, headers, accept: [416], signal }, async (answer) => {
    let position = firstByte(answer, { start, bytes: file.bytes, subject, host: new URL(url).host });
    for await (const part of answer.parts()) {
      if (position + part.byteLength > file.bytes) throw tooMuch(url, subject, file.bytes);
      for (let written = 0; written < part.byteLength;)
        written += (await handle.write(part, written, part.byteLength - written, position + written)).bytesWritten;
      const before = position;
      position += part.byteLength;
      onBytes(Math.max(0, position - Math.max(before, start)));
      if (position - start >= enough) progressed();
    }
    if (position < file.bytes)
      throw new Transient(
        `the connection to ${new URL(url).host} was cut after ${position} of ${file.bytes} bytes of ${file.path}`,
      );
  });
}

/** Where the answer's first byte belongs. @throws DomainError unavailable where that is not what was asked for */
function firstByte(
  { status, headers }: HubAnswer,
  { start, bytes, subject, host }: { start: number; bytes: number; subject: string; host: string },
): number {
  const announced = headers.get('content-length');
  const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers.get('content-range') ?? '');
  const from = status === 206 ? Number(range?.[1]) : 0;
  const total = status === 206 ? (range?.[3] === '*' ? bytes : Number(range?.[3])) : bytes;
  const isAsked = (status === 200 || status === 206) && (from === start || from === 0) && total === bytes;
  if (!isAsked)
    throw new DomainError(
      'unavailable',
      `${host} answers for ${subject} with status ${status}, ${headers.get('content-range') ?? 'all bytes'}, to a request for ` +
        `bytes from ${start} of ${bytes}`,
    );
  if (announced !== null && headers.get('content-encoding') === null && Number(announced) > bytes - from)
    throw new DomainError(
      'unavailable',
      `${host} announces ${announced} bytes of ${subject} where ${bytes - from} are left of the ${bytes} that it lists`,
    );
  return from;
}

function tooMuch(url: string, subject: string, bytes: number): DomainError {
  return new DomainError(
    'unavailable',
    `${new URL(url).host} sends more of ${subject} than the ${bytes} bytes that it lists`,
  );
}

/** Bytes of a file that have arrived. */
export async function arrivedBytes(partial: string): Promise<number> {
  return (await stat(partial).catch(() => undefined))?.size ?? 0;
}
