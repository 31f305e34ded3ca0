import { DomainError } from '@surefoot/errors';

/** Where a tensor's bytes lie in the file. */
export interface TensorEntry {
  name: string;
  dtype: string;
  shape: number[];
  /** Bytes from the start of the data. */
  begin: number;
  end: number;
}

/** Bytes of an element; those that are no floats are known so that they can be passed over. */
const elementBytes: Record<string, number> = {
  ...{ F64: 8, F32: 4, F16: 2, BF16: 2, F8_E4M3: 1, F8_E5M2: 1 },
  ...{ I64: 8, I32: 4, I16: 2, I8: 1, U64: 8, U32: 4, U16: 2, U8: 1, BOOL: 1 },
};

/**
 * The header of a safetensors file, every number in it checked against the others.
 *
 * @param text      the JSON
 * @param dataBytes that follow the header in the file
 * @param path      for messages
 * @returns entries in the order of their bytes, which they cover without gap or overlap
 * @throws DomainError invalid_argument naming file and tensor
 */
export function parseHeader(
  text: string,
  dataBytes: number,
  path: string,
): { entries: TensorEntry[]; metadata: Record<string, string> } {
  const header = parseObject(text, path);
  const duplicate = duplicateKey(text);
  if (duplicate !== undefined) throw damaged(path, `${duplicate} occurs twice in the header`);
  const { __metadata__: metadata = {}, ...tensors } = header;
  if (!isObject(metadata) || Object.values(metadata).some((value) => typeof value !== 'string'))
    throw damaged(path, '__metadata__ must map names to strings');
  const entries = Object.entries(tensors).map(([name, value]) => parseEntry(name, value, path));
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end } of entries) {
    if (begin !== covered) throw damaged(path, `tensor ${name} begins at byte ${begin}, expected ${covered}`);
    if (end > dataBytes)
      throw damaged(path, `tensor ${name} ends at byte ${end} of ${dataBytes}: the file is truncated`);
    covered = end;
  }
  if (covered !== dataBytes) throw damaged(path, `${dataBytes - covered} bytes after the last tensor`);
  return { entries, metadata: metadata as Record<string, string> };
}

/** An error about a file's contents. */
export function damaged(path: string, problem: string, cause?: unknown): DomainError {
  return new DomainError('invalid_argument', `${path} is not a sound safetensors file: ${problem}`, { cause });
}

function parseObject(text: string, path: string): Record<string, unknown> {
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (error) {
    throw damaged(path, `its header is not JSON: ${(error as Error).message}`, error);
  }
  if (!isObject(header)) throw damaged(path, 'its header is not a JSON object');
  return header;
}

function parseEntry(name: string, value: unknown, path: string): TensorEntry {
  const { dtype, shape, data_offsets: offsets } = isObject(value) ? value : {};
  const bytes = typeof dtype === 'string' && Object.hasOwn(elementBytes, dtype) ? elementBytes[dtype] : undefined;
  if (bytes === undefined) throw damaged(path, `tensor ${name} has the unknown dtype ${JSON.stringify(dtype)}`);
  if (!isCounts(shape)) throw damaged(path, `tensor ${name} has the shape ${JSON.stringify(shape)}`);
  if (!isCounts(offsets) || offsets.length !== 2)
    throw damaged(path, `tensor ${name} has the data_offsets ${JSON.stringify(offsets)}`);
  const [begin, end] = offsets as [number, number];
  const size = shape.reduce((product, length) => product * length, bytes);
  if (end - begin !== size)
    throw damaged(path, `tensor ${name}, ${dtype} [${shape.join(', ')}], has ${end - begin} bytes, needs ${size}`);
  return { name, dtype: dtype as string, shape, begin, end };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((count) => Number.isSafeInteger(count) && count >= 0);
}

/** The first key that an object of a valid JSON text's top level repeats; JSON.parse would keep the last without a word. */
function duplicateKey(text: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"(?:\s*:)?|[{}[\]]/g)) {
    if (token === '{' || token === '[') depth += 1;
    else if (token === '}' || token === ']') depth -= 1;
    else if (depth === 1 && token.endsWith(':')) {
      const key = JSON.parse(token.slice(0, token.lastIndexOf('"') + 1)) as string;
      if (seen.has(key)) return key;
      seen.add(key);
    }
  }
  return undefined;
}
