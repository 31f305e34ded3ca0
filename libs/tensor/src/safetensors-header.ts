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

/** The deepest that a header goes: itself, a tensor's entry, its shape. */
const maxDepth = 3;

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
  scan(text, path);
  const header = parseObject(text, path);
  const { __metadata__: metadata = {}, ...tensors } = header;
  if (!isObject(metadata) || Object.values(metadata).some((value) => typeof value !== 'string'))
    throw damaged(path, '__metadata__ must map names to strings');
  const entries = Object.entries(tensors).map(([name, value]) => parseEntry(name, value, path));
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end } of entries) {
    if (begin !== covered) throw damaged(path, `tensor ${cut(name)} begins at byte ${begin}, expected ${covered}`);
    if (end > dataBytes)
      throw damaged(path, `tensor ${cut(name)} ends at byte ${end} of ${dataBytes}: the file is truncated`);
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
  const header = parsed(text, path);
  if (!isObject(header)) throw damaged(path, 'its header is not a JSON object');
  return header;
}

function parsed(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw damaged(path, `its header is not JSON: ${cut((error as Error).message)}`, error);
  }
}

function parseEntry(name: string, value: unknown, path: string): TensorEntry {
  const { dtype, shape, data_offsets: offsets } = isObject(value) ? value : {};
  const bytes = typeof dtype === 'string' && Object.hasOwn(elementBytes, dtype) ? elementBytes[dtype] : undefined;
  const wrong = (problem: string) => damaged(path, `tensor ${cut(name)}${problem}`);
  if (bytes === undefined) throw wrong(` has the unknown dtype ${shown(dtype)}`);
  if (!isCounts(shape)) throw wrong(` has the shape ${shown(shape)}`);
  if (!isCounts(offsets) || offsets.length !== 2) throw wrong(` has the data_offsets ${shown(offsets)}`);
  const [begin, end] = offsets as [number, number];
  // Beyond 2^53 the product is not exact, and then never that of two offsets.
  const size = shape.reduce((product, length) => product * length, bytes);
  if (end - begin !== size)
    throw wrong(`, ${dtype as string} [${cut(shape.join(', '))}], has ${end - begin} bytes, needs ${size}`);
  return { name, dtype: dtype as string, shape, begin, end };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((count) => Number.isSafeInteger(count) && count >= 0);
}

/**
 * Refuses what JSON.parse would take a lot of memory for, or would hide: deep nesting, and a name given twice, of which it keeps
 * the last without a word.
 */
function scan(text: string, path: string): void {
  const seen = new Set<string>();
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const character = text[i];
    if (character === '{' || character === '[') {
      if (++depth > maxDepth) throw damaged(path, `its header is nested more than ${maxDepth} deep`);
    } else if (character === '}' || character === ']') depth -= 1;
    else if (character === '"') {
      const from = i;
      for (i++; i < text.length && text[i] !== '"'; i++) if (text[i] === '\\') i++;
      if (depth !== 1 || !isKey(text, i + 1)) continue;
      const key = parsed(text.slice(from, i + 1), path) as string;
      if (seen.has(key)) throw damaged(path, `${cut(key)} occurs twice in the header`);
      seen.add(key);
    }
  }
}

/** Whether a colon comes next. */
function isKey(text: string, from: number): boolean {
  let at = from;
  while (' \t\n\r'.includes(text[at] ?? 'end')) at += 1;
  return text[at] === ':';
}

/** Enough of a value or a name for a message: they can be as long as the header. */
function shown(value: unknown): string {
  return cut(String(JSON.stringify(value)));
}

function cut(text: string): string {
  return text.length <= 120 ? text : `${text.slice(0, 120)}…`;
}
