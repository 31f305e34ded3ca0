import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { DomainError } from '@surefoot/errors';
import { invalid } from './checks';
import { damaged, parseHeader } from './safetensors-header';
import { widenBfloat16, widenFloat16 } from './half-floats';

/** A float tensor of a safetensors file. */
export interface FileTensor {
  name: string;
  dtype: 'F32' | 'F16' | 'BF16';
  shape: number[];
  /** Bytes from the start of the file. */
  begin: number;
  bytes: number;
}

/** An open safetensors file, of which only the header has been read. */
export interface SafetensorsFile {
  readonly path: string;
  /** Of the open file; valid until `close`. */
  readonly descriptor: number;
  /** Of the whole file. */
  readonly bytes: number;
  /** By name, in the order of their bytes; integer and boolean tensors are left out: they are masks and positions, no weights. */
  readonly tensors: ReadonlyMap<string, FileTensor>;
  readonly metadata: Record<string, string>;
  /** A tensor's values as float32; F16 and BF16 are widened. NaN is the caller's to judge. */
  values(tensor: FileTensor): Promise<Float32Array<ArrayBuffer>>;
  /** The same in pieces, of which one at a time takes memory. */
  pieces(tensor: FileTensor): AsyncIterable<Float32Array<ArrayBuffer>>;
  close(): Promise<void>;
}

const lengthBytes = 8;
/** Of a header: that of 100,000 tensors. The format allows 100 MB, which no model needs and which take seconds to refuse. */
const maxHeaderBytes = 2 ** 24;

/**
 * Opens a safetensors file and reads its header.
 *
 * @throws DomainError not_found; invalid_argument naming file and tensor where header, sizes or offsets are wrong, before
 * memory is taken for them; invalid_argument for F64 and F8
 *
 * Source: github.com/huggingface/safetensors, README "Format".
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  // Without O_NONBLOCK the opening of a pipe in place of the file would wait for its other end.
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch(
    (error: NodeJS.ErrnoException) => {
      const kind = error.code === 'ENOENT' ? 'not_found' : 'failed_precondition';
      throw new DomainError(kind, `cannot read ${path}: ${error.code}`, { cause: error });
    },
  );
  try {
    const header = await readHeader(file, path);
    return {
      path,
      descriptor: file.fd,
      ...header,
      values: (tensor) => readValues(file, tensor, path),
      pieces: (tensor) => readPieces(file, tensor, path),
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readHeader(
  file: FileHandle,
  path: string,
): Promise<Pick<SafetensorsFile, 'bytes' | 'tensors' | 'metadata'>> {
  const stats = await file.stat();
  if (!stats.isFile()) throw new DomainError('failed_precondition', `cannot read ${path}: it is not a file`);
  const { size } = stats;
  if (size < lengthBytes) throw damaged(path, `it has ${size} bytes`);
  const length = Buffer.from((await readBytes(file, 0, lengthBytes, path)).buffer).readBigUInt64LE();
  if (length > BigInt(size - lengthBytes))
    throw damaged(path, `its header claims ${length} bytes of a file of ${size}`);
  if (length > maxHeaderBytes)
    throw damaged(path, `its header claims ${length} bytes, at most ${maxHeaderBytes} are read`);
  const dataStart = lengthBytes + Number(length);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(await readBytes(file, lengthBytes, Number(length), path));
  } catch (error) {
    throw error instanceof DomainError ? error : damaged(path, 'its header is not UTF-8', error);
  }
  const { entries, metadata } = parseHeader(text, size - dataStart, path);
  const tensors = new Map<string, FileTensor>();
  for (const { name, dtype, shape, begin, end } of entries) {
    if (/^(I|U|BOOL)/.test(dtype)) continue;
    if (dtype !== 'F32' && dtype !== 'F16' && dtype !== 'BF16')
      throw invalid(`${path}: tensor ${name} is ${dtype}; convert it to F32, F16 or BF16`);
    tensors.set(name, { name, dtype, shape, begin: dataStart + begin, bytes: end - begin });
  }
  return { bytes: size, tensors, metadata };
}

async function readValues(
  file: FileHandle,
  { dtype, begin, bytes }: FileTensor,
  path: string,
): Promise<Float32Array<ArrayBuffer>> {
  const { buffer } = await readBytes(file, begin, bytes, path);
  if (dtype === 'F32') return new Float32Array(buffer);
  return dtype === 'BF16' ? widenBfloat16(new Uint16Array(buffer)) : widenFloat16(new Uint16Array(buffer));
}

async function* readPieces(file: FileHandle, tensor: FileTensor, path: string) {
  // A multiple of every size of a number.
  const step = 2 ** 24;
  for (let done = 0; done < tensor.bytes; done += step)
    yield await readValues(
      file,
      { ...tensor, begin: tensor.begin + done, bytes: Math.min(step, tensor.bytes - done) },
      path,
    );
}

async function readBytes(
  file: FileHandle,
  from: number,
  count: number,
  path: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(count);
  // One read takes at most 2 GiB.
  const step = 2 ** 30;
  for (let done = 0; done < count;) {
    const { bytesRead } = await file.read(bytes, done, Math.min(step, count - done), from + done);
    if (bytesRead === 0) throw damaged(path, 'it became shorter while it was read');
    done += bytesRead;
  }
  return bytes;
}
