import { open, type FileHandle } from 'node:fs/promises';
import { DomainError } from '@surefoot/errors';
import { writeFileAtomically } from '@surefoot/files';
import { invalid } from './checks';
import { damaged, parseHeader, type TensorEntry } from './safetensors-header';

/** A tensor on the host. */
export interface StoredTensor {
  shape: number[];
  /** Row by row; as long as the shape says. */
  data: Float32Array;
}

const lengthBytes = 8;
/** The format's own limit. */
const maxHeaderBytes = 100_000_000;

/**
 * The float tensors of a safetensors file, as float32.
 *
 * F16 and BF16 are widened. Integer and boolean tensors are left out: models keep masks and positions there, no weights. Values
 * are not looked at: NaN is the caller's to judge.
 *
 * @returns tensors in the order of their bytes in the file
 * @throws DomainError not_found; invalid_argument naming file and tensor where header, sizes or offsets are wrong, before
 * memory is taken for them; invalid_argument for F64 and F8
 *
 * Source: github.com/huggingface/safetensors, README "Format".
 */
export async function readSafetensors(
  path: string,
): Promise<{ tensors: Map<string, StoredTensor>; metadata: Record<string, string> }> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    const kind = error.code === 'ENOENT' ? 'not_found' : 'failed_precondition';
    throw new DomainError(kind, `cannot read ${path}: ${error.code}`, { cause: error });
  });
  try {
    const { entries, metadata, dataStart } = await readHeader(file, path);
    const tensors = new Map<string, StoredTensor>();
    for (const entry of entries) {
      const data = await readTensor(file, entry, dataStart, path);
      if (data) tensors.set(entry.name, { shape: entry.shape, data });
    }
    return { tensors, metadata };
  } finally {
    await file.close();
  }
}

/**
 * Writes tensors as F32. The same tensors give the same bytes, whatever their order: names are sorted.
 *
 * @throws DomainError invalid_argument for a repeated name or data of another length than the shape; then nothing is written.
 * As `writeFileAtomically` where the disk refuses
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<[string, StoredTensor]>,
  metadata: Record<string, string> = {},
): Promise<void> {
  const sorted = [...tensors].sort(([a], [b]) => (a < b ? -1 : Number(a > b)));
  const entries: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0)
    entries.push(['__metadata__', Object.fromEntries(Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1)))]);
  let end = 0;
  sorted.forEach(([name, { shape, data }], i) => {
    if (name === '__metadata__' || name === sorted[i + 1]?.[0]) throw invalid(`${path}: tensor name ${name} is taken`);
    if (shape.reduce((product, length) => product * length, 1) !== data.length)
      throw invalid(`${path}: tensor ${name} of shape [${shape.join(', ')}] holds ${data.length} values`);
    entries.push([name, { dtype: 'F32', shape, data_offsets: [end, end + 4 * data.length] }]);
    end += 4 * data.length;
  });
  const json = Buffer.from(
    `{${entries.map(([name, entry]) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`).join()}}`,
  );
  const headerBytes = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(lengthBytes + headerBytes + end);
  bytes.fill(0x20, lengthBytes, lengthBytes + headerBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes), true);
  bytes.set(json, lengthBytes);
  let at = lengthBytes + headerBytes;
  for (const [, { data }] of sorted) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  await writeFileAtomically(path, bytes);
}

async function readHeader(file: FileHandle, path: string) {
  const stats = await file.stat();
  if (!stats.isFile()) throw new DomainError('failed_precondition', `cannot read ${path}: it is not a file`);
  const { size } = stats;
  if (size < lengthBytes) throw damaged(path, `it has ${size} bytes`);
  const length = Buffer.from(await readBytes(file, 0, lengthBytes, path)).readBigUInt64LE();
  if (length > BigInt(Math.min(size - lengthBytes, maxHeaderBytes)))
    throw damaged(path, `its header claims ${length} bytes of a file of ${size}`);
  const dataStart = lengthBytes + Number(length);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(await readBytes(file, lengthBytes, Number(length), path));
  } catch (error) {
    throw error instanceof DomainError ? error : damaged(path, 'its header is not UTF-8', error);
  }
  return { ...parseHeader(text, size - dataStart, path), dataStart };
}

/** The values of a tensor, or undefined where they are no floats. */
async function readTensor(
  file: FileHandle,
  entry: TensorEntry,
  dataStart: number,
  path: string,
): Promise<Float32Array | undefined> {
  const { name, dtype, begin, end } = entry;
  if (/^(I|U|BOOL)/.test(dtype)) return undefined;
  if (!['F32', 'F16', 'BF16'].includes(dtype))
    throw invalid(`${path}: tensor ${name} is ${dtype}; convert it to F32, F16 or BF16`);
  const bytes = await readBytes(file, dataStart + begin, end - begin, path);
  if (dtype === 'F32') return new Float32Array(bytes.buffer);
  const halves = new Uint16Array(bytes.buffer);
  return dtype === 'BF16' ? widenBfloat16(halves) : Float32Array.from(halves, widenFloat16);
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

/** BF16 is the upper half of an F32. */
function widenBfloat16(halves: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(halves, (half) => half << 16).buffer);
}

function widenFloat16(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
