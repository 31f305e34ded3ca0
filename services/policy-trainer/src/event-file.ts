import { appendFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { fileError } from '@surefoot/files';
import type { MetricsLine } from './metrics-file';

/** The metrics of a run as TensorBoard reads them. */
export interface EventFile {
  append(line: MetricsLine): Promise<void>;
}

/**
 * Writes a TensorBoard event file into a run's folder, in place of the one before: with the metrics so far, so that a resumed run
 * shows each iteration once. metrics.jsonl is what counts; nothing reads events back.
 *
 * @param kept the lines so far
 * @param now  seconds since 1970
 * @throws DomainError as `fileError`
 *
 * Source: tensorflow `core/util/event.proto`, `core/framework/summary.proto`, `core/lib/io/record_writer.h`.
 */
export async function createEventFile(folder: string, kept: readonly MetricsLine[], now: number): Promise<EventFile> {
  const began = now - (kept.at(-1)?.metrics['time/seconds'] ?? 0);
  const path = join(folder, `events.out.tfevents.${Math.floor(now)}.surefoot`);
  const bytesOf = ({ iteration, metrics }: MetricsLine) =>
    record(scalarEvent(began + (metrics['time/seconds'] ?? 0), iteration, metrics));
  const writing = (error: unknown): never => {
    throw fileError(error, 'write', path);
  };
  for (const name of await readdir(folder).catch(writing))
    if (name.startsWith('events.out.tfevents.')) await rm(join(folder, name), { force: true }).catch(writing);
  await writeFile(path, Buffer.concat([record(versionEvent(began)), ...kept.map(bytesOf)])).catch(writing);
  return { append: (line) => appendFile(path, bytesOf(line)).catch(writing) };
}

function versionEvent(time: number): Uint8Array {
  return new BinaryWriter().tag(1, 1).double(time).tag(3, 2).string('brain.Event:2').finish();
}

/** An event with one scalar for each metric that a float holds: others end no run. */
function scalarEvent(time: number, step: number, metrics: MetricsLine['metrics']): Uint8Array {
  const event = new BinaryWriter().tag(1, 1).double(time).tag(2, 0).int64(step);
  event.tag(5, 2).fork();
  for (const [name, value] of Object.entries(metrics))
    if (Number.isFinite(Math.fround(value)))
      event.tag(1, 2).fork().tag(1, 2).string(name).tag(2, 5).float(value).join();
  return event.join().finish();
}

/** A record: the length of the data, its checksum, the data, its checksum. */
function record(data: Uint8Array): Buffer {
  const framed = Buffer.alloc(data.length + 16);
  framed.writeBigUInt64LE(BigInt(data.length));
  framed.writeUInt32LE(maskedChecksum(framed.subarray(0, 8)), 8);
  framed.set(data, 12);
  framed.writeUInt32LE(maskedChecksum(data), 12 + data.length);
  return framed;
}

// A byte's share of a CRC-32C (Castagnoli), bit by bit.
const crcOfByte = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

/** CRC-32C, rotated and shifted so that checksums of data that holds checksums stay apart. */
function maskedChecksum(data: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of data) crc = crcOfByte[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  crc = ~crc;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
