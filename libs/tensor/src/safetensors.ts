import { writeFileAtomically } from '@surefoot/files';
import { invalid } from './checks';
import { narrowToBfloat16 } from './half-floats';
import { openSafetensors } from './safetensors-file';

/** A tensor on the host. */
export interface StoredTensor {
  shape: number[];
  /** Row by row; as long as the shape says. */
  data: Float32Array;
}

/** A tensor that is written piece by piece. */
export interface TensorSource {
  name: string;
  shape: number[];
  dtype: 'F32' | 'BF16';
  /** The values row by row, in pieces of any length; asked for once, when it is this tensor's turn. */
  pieces(): AsyncIterable<Float32Array> | Iterable<Float32Array>;
}

/** Where the data of a file and of its tensors begin, so that they can be mapped: TensorFlow copies what begins elsewhere. */
const alignment = 64;

/** Shorter pieces are written together: a small model has a hundred tensors, and each write costs a turn of the thread pool. */
const runBytes = 2 ** 18;

/**
 * The float tensors of a safetensors file, as float32; all at once, for files that fit.
 *
 * @returns tensors in the order of their bytes in the file
 * @throws DomainError as `openSafetensors`
 */
export async function readSafetensors(
  path: string,
): Promise<{ tensors: Map<string, StoredTensor>; metadata: Record<string, string> }> {
  const file = await openSafetensors(path);
  try {
    const tensors = new Map<string, StoredTensor>();
    for (const [name, tensor] of file.tensors)
      tensors.set(name, { shape: tensor.shape, data: await file.values(tensor) });
    return { tensors, metadata: file.metadata };
  } finally {
    await file.close();
  }
}

/**
 * Writes tensors as F32, as `writeTensors` does.
 *
 * @throws DomainError invalid_argument for a repeated name or data of another length than the shape; then nothing is written.
 * As `writeFileAtomically` where the disk refuses
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<[string, StoredTensor]>,
  metadata: Record<string, string> = {},
): Promise<void> {
  const sources = [...tensors].map(([name, { shape, data }]): TensorSource => {
    if (sizeOf(shape) !== data.length)
      throw invalid(`${path}: tensor ${name} of shape [${shape.join(', ')}] holds ${data.length} values`);
    return { name, shape, dtype: 'F32', pieces: () => [data] };
  });
  await writeTensors(path, sources, metadata);
}

/**
 * Writes tensors, one piece in memory at a time. The same tensors give the same bytes, whatever their order: they are sorted by
 * name, those first that keep the next one at a multiple of 64 bytes.
 *
 * @throws DomainError invalid_argument for a repeated name or pieces of another length than the shape, and whatever `pieces`
 * throws; the file is then as it was. As `writeFileAtomically` where the disk refuses
 */
export async function writeTensors(
  path: string,
  tensors: TensorSource[],
  metadata: Record<string, string> = {},
): Promise<void> {
  const sorted = [...tensors].sort(
    (a, b) => Number(isRagged(a)) - Number(isRagged(b)) || (a.name < b.name ? -1 : Number(a.name > b.name)),
  );
  const names = new Set(['__metadata__']);
  for (const { name } of sorted) {
    if (names.has(name)) throw invalid(`${path}: tensor name ${name} is taken`);
    names.add(name);
  }
  await writeFileAtomically(path, inRuns(bytesOf(path, sorted, metadata)));
}

async function* bytesOf(path: string, tensors: TensorSource[], metadata: Record<string, string>) {
  yield header(tensors, metadata);
  for (const { name, shape, dtype, pieces } of tensors) {
    let written = 0;
    for await (const piece of pieces()) {
      written += piece.length;
      const stored = dtype === 'BF16' ? narrowToBfloat16(piece) : piece;
      yield new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
    }
    if (written !== sizeOf(shape))
      throw invalid(`${path}: tensor ${name} of shape [${shape.join(', ')}] holds ${written} values`);
  }
}

/** The same bytes in fewer pieces: short ones go through one block of memory, long ones are passed on. A piece holds until the next. */
async function* inRuns(pieces: AsyncIterable<Uint8Array>) {
  const run = new Uint8Array(runBytes);
  let filled = 0;
  for await (const piece of pieces) {
    if (filled + piece.length > runBytes) {
      yield run.subarray(0, filled);
      filled = 0;
    }
    if (piece.length > runBytes) yield piece;
    else {
      run.set(piece, filled);
      filled += piece.length;
    }
  }
  yield run.subarray(0, filled);
}

function header(tensors: TensorSource[], metadata: Record<string, string>): Uint8Array {
  const entries: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0)
    entries.push(['__metadata__', Object.fromEntries(Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1)))]);
  let end = 0;
  for (const tensor of tensors) {
    const begin = end;
    end += storedBytes(tensor);
    entries.push([tensor.name, { dtype: tensor.dtype, shape: tensor.shape, data_offsets: [begin, end] }]);
  }
  const json = Buffer.from(
    `{${entries.map(([name, entry]) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`).join()}}`,
  );
  const lengthBytes = 8;
  const bytes = Buffer.alloc(Math.ceil((lengthBytes + json.length) / alignment) * alignment, ' ');
  bytes.writeBigUInt64LE(BigInt(bytes.length - lengthBytes));
  bytes.set(json, lengthBytes);
  return bytes;
}

/** Bytes of a tensor in its file. */
export function storedBytes({ shape, dtype }: Pick<TensorSource, 'shape' | 'dtype'>): number {
  return (dtype === 'F32' ? 4 : 2) * sizeOf(shape);
}

function isRagged(tensor: TensorSource): boolean {
  return storedBytes(tensor) % alignment !== 0;
}

function sizeOf(shape: number[]): number {
  return shape.reduce((product, length) => product * length, 1);
}
