import { existsSync } from 'node:fs';
import { mkdtemp, open, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { narrowToBfloat16 } from './half-floats';
import { openSafetensors, readSafetensors, writeSafetensors, writeTensors } from './index';
import { goldenPath } from './testing';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'surefoot-safetensors-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** A file of a header, in JSON or as it stands, and data bytes; `length` lies about the header's. */
async function file(header: unknown, data: Uint8Array | number = 0, length?: bigint): Promise<string> {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(length ?? BigInt(text.length));
  const path = join(folder, 'x.safetensors');
  await writeFile(path, Buffer.concat([size, text, typeof data === 'number' ? Buffer.alloc(data) : data]));
  return path;
}
const bytes = ({ buffer, byteOffset, byteLength }: Float32Array) => Buffer.from(buffer, byteOffset, byteLength);
const entry = (dtype: string, shape: unknown, ...offsets: unknown[]) => ({ dtype, shape, data_offsets: offsets });

describe('round trip', () => {
  test('tensors, shapes and metadata come back, whatever their order the same bytes', async () => {
    const tensors: [string, { shape: number[]; data: Float32Array }][] = [
      ['b', { shape: [2, 2], data: Float32Array.of(1, -0, NaN, Infinity) }],
      ['ä "quoted"', { shape: [], data: Float32Array.of(Math.PI) }],
      ['__proto__', { shape: [0, 3], data: new Float32Array(0) }],
      ['part', { shape: [2], data: new Float32Array([9, 1, 2, 9]).subarray(1, 3) }],
    ];
    const [one, two] = [join(folder, 'one'), join(folder, 'two')];
    await writeSafetensors(one, tensors, { b: '2', a: '1' });
    await writeSafetensors(two, new Map([...tensors].reverse()), { a: '1', b: '2' });
    expect(await readFile(one)).toEqual(await readFile(two));
    const read = await readSafetensors(one);
    expect(read.metadata).toEqual({ a: '1', b: '2' });
    expect(read.tensors).toEqual(new Map(tensors));
    expect(((await readFile(one)).readBigUInt64LE() + 8n) % 64n).toBe(0n);
  });

  test('tensors that fill a block of the writer, pass over its end or are longer come back in their places', async () => {
    const lengths = [5, 2 ** 16 - 16, 2 ** 16, 16, 2 ** 16 + 16, 150_000, 40_000, 40_000];
    const tensors = lengths.map((length, i): [string, { shape: number[]; data: Float32Array }] => [
      `tensor ${i}`,
      { shape: [length], data: Float32Array.from({ length }, (_, place) => 1e6 * i + place) },
    ]);
    await writeSafetensors(join(folder, 'blocks'), tensors);
    const read = await readSafetensors(join(folder, 'blocks'));
    for (const [name, { data }] of tensors)
      expect(Buffer.compare(bytes(read.tensors.get(name)!.data), bytes(data))).toBe(0);
  });

  test('a file of nothing is sound', async () => {
    await writeSafetensors(join(folder, 'empty'), []);
    expect(await readSafetensors(join(folder, 'empty'))).toEqual({ tensors: new Map(), metadata: {} });
  });

  test('nothing is written of tensors that do not fit their shapes or share a name', async () => {
    const one = { shape: [1], data: Float32Array.of(1) };
    const path = join(folder, 'x');
    const refuse = (tensors: [string, typeof one][], message: string) =>
      expect(writeSafetensors(path, tensors)).rejects.toMatchObject({
        kind: 'invalid_argument',
        message: expect.stringContaining(message),
      });
    await refuse([['a', { ...one, shape: [2] }]], 'tensor a of shape [2] holds 1 values');
    await refuse(
      [
        ['a', one],
        ['a', one],
      ],
      'name a is taken',
    );
    await refuse([['__metadata__', one]], 'name __metadata__ is taken');
    expect(await readdir(folder)).toEqual([]);
  });
});

test('data begin at a multiple of 64 bytes, and so does each tensor before those whose size is none', async () => {
  const path = join(folder, 'x');
  const tensor = (name: string, size: number) => ({
    name,
    shape: [size],
    dtype: 'BF16' as const,
    // In pieces of one and of the rest.
    pieces: () => [Float32Array.of(size), new Float32Array(size - 1)],
  });
  await writeTensors(path, [tensor('a', 3), tensor('b', 64), tensor('c', 32)]);
  const file = await openSafetensors(path);
  const places = [...file.tensors.values()].map(({ name, begin, bytes }) => [name, begin % 64, bytes]);
  expect(places).toEqual([
    ['b', 0, 128],
    ['c', 0, 64],
    ['a', 0, 6],
  ]);
  expect(await file.values(file.tensors.get('a')!)).toEqual(Float32Array.of(3, 0, 0));
  await file.close();
});

test('a source that gives too few values, or fails, leaves the file as it was', async () => {
  const path = join(folder, 'x');
  await writeFile(path, 'old');
  const source = (pieces: () => Iterable<Float32Array>) => [{ name: 'a', shape: [2], dtype: 'F32' as const, pieces }];
  await expect(
    writeTensors(
      path,
      source(() => [Float32Array.of(1)]),
    ),
  ).rejects.toThrow('of shape [2] holds 1 values');
  const fails = function* () {
    yield Float32Array.of(1);
    throw new Error('no more');
  };
  await expect(writeTensors(path, source(fails))).rejects.toThrow('no more');
  expect(await readFile(path, 'utf8')).toBe('old');
  expect(await readdir(folder)).toEqual(['x']);
});

test('float32 is rounded to the nearest BF16, of two as near to the even one', () => {
  // 1 + 2^-8 lies between 1 (0x3f80) and 1 + 2^-7 (0x3f81), 1 + 3 · 2^-8 between 0x3f81 and 0x3f82.
  const values = Float32Array.of(
    1,
    -2,
    1 + 2 ** -8,
    1 + 3 * 2 ** -8,
    1 + 2 ** -8 + 2 ** -20,
    3.4e38,
    Infinity,
    NaN,
    -0,
  );
  const halves = [0x3f80, 0xc000, 0x3f80, 0x3f82, 0x3f81, 0x7f80, 0x7f80, 0x7fc0, 0x8000];
  expect([...narrowToBfloat16(values)]).toEqual(halves);
});

test('F16 and BF16 are widened, integers and masks passed over', async () => {
  // F16: 1, -2, largest 65504, smallest 2^-24, Infinity. BF16: 1, -2, 3.140625, and 2^-133, which is below F32's normal numbers.
  const halves = Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00, 0x3f80, 0xc000, 0x4049, 0x0001);
  const path = await file(
    {
      mask: entry('BOOL', [2], 18, 20),
      half: entry('F16', [5], 0, 10),
      brain: entry('BF16', [2, 2], 10, 18),
      ids: entry('I64', [1], 20, 28),
    },
    Buffer.concat([new Uint8Array(halves.buffer), Buffer.alloc(10)]),
  );
  const { tensors } = await readSafetensors(path);
  expect([...tensors.keys()]).toEqual(['half', 'brain']);
  expect([...(tensors.get('half')?.data ?? [])]).toEqual([1, -2, 65504, 2 ** -24, Infinity]);
  expect([...(tensors.get('brain')?.data ?? [])]).toEqual([1, -2, 3.140625, 2 ** -133]);
});

const golden = goldenPath('models', 'gpt2', 'model.safetensors');
(golden && existsSync(golden) ? test : test.skip)('reads what the Python library wrote', async () => {
  const { tensors } = await readSafetensors(golden as string);
  expect(tensors.size).toBeGreaterThan(10);
  for (const { shape, data } of tensors.values()) {
    expect(data.length).toBe(shape.reduce((a, b) => a * b, 1));
    expect(data.every(Number.isFinite)).toBe(true);
  }
});

/** A file whose header is said to be so long, and is all zeros that take no room on the disk. */
async function sparse(length: number): Promise<string> {
  const path = await file('', 0, BigInt(length));
  const handle = await open(path, 'r+');
  await handle.truncate(8 + length);
  await handle.close();
  return path;
}

describe('a damaged or hostile file is refused, naming file and tensor', () => {
  const four = entry('F32', [1], 0, 4);
  test.each<[string, () => Promise<string>, string]>([
    [
      'too short for a length',
      async () => (await writeFile(join(folder, 'x'), 'abc'), join(folder, 'x')),
      'has 3 bytes',
    ],
    ['header longer than the file', () => file('{}', 0, 3n), 'claims 3 bytes of a file of 10'],
    ['header of 2^63 bytes', () => file('{}', 0, 2n ** 63n), 'claims 9223372036854775808 bytes'],
    ['no JSON', () => file('{"a":'), 'header is not JSON'],
    [
      'no UTF-8',
      async () => {
        const path = await file('{"a": 1}');
        const bytes = await readFile(path);
        bytes[10] = 0xff;
        await writeFile(path, bytes);
        return path;
      },
      'not UTF-8',
    ],
    ['a list', () => file('[]'), 'not a JSON object'],
    ['a truncated file', () => file({ a: entry('F32', [2], 0, 8) }, 7), 'tensor a ends at byte 8 of 7'],
    ['bytes left over', () => file({ a: four }, 8), '4 bytes after the last tensor'],
    ['overlap', () => file({ a: four, b: entry('F32', [1], 2, 6) }, 6), 'tensor b begins at byte 2, expected 4'],
    ['the same bytes twice', () => file({ a: four, b: four }, 4), 'begins at byte 0, expected 4'],
    ['a gap', () => file({ a: entry('F32', [1], 4, 8) }, 8), 'tensor a begins at byte 4, expected 0'],
    ['negative offsets', () => file({ a: entry('F32', [1], -4, 0) }, 0), 'tensor a has the data_offsets [-4,0]'],
    ['an end before the beginning', () => file({ a: entry('F32', [0], 4, 0) }, 4), 'has -4 bytes, needs 0'],
    ['offsets that are no numbers', () => file({ a: entry('F32', [1], '0', '4') }, 4), 'data_offsets'],
    ['a size that is not the shape’s', () => file({ a: entry('F32', [3], 0, 8) }, 8), 'F32 [3], has 8 bytes, needs 12'],
    [
      'a shape beyond all memory',
      () => file({ a: entry('F32', [2 ** 40, 2 ** 40], 0, 4) }, 4),
      'has 4 bytes, needs 4.8',
    ],
    ['a negative length', () => file({ a: entry('F32', [-1, -1], 0, 4) }, 4), 'the shape [-1,-1]'],
    ['a shape with fractions', () => file({ a: entry('F32', [0.5, 2], 0, 4) }, 4), 'the shape [0.5,2]'],
    ['an unknown dtype', () => file({ a: entry('toString', [1], 0, 4) }, 4), 'unknown dtype "toString"'],
    ['a dtype that is not read', () => file({ a: entry('F64', [1], 0, 8) }, 8), 'tensor a is F64'],
    ['an entry that is no object', () => file({ a: 1 }), 'tensor a has the unknown dtype undefined'],
    [
      'a name twice',
      () =>
        file(
          '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\\u0061":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
          4,
        ),
      'a occurs twice',
    ],
    ['deep nesting', () => file('['.repeat(1e6) + ']'.repeat(1e6)), 'nested more than 3 deep'],
    ['deep nesting in an entry', () => file({ a: { ...four, shape: [[[1]]] } }, 4), 'nested more than 3 deep'],
    ['a name as long as the header', () => file({ ['x'.repeat(1e6)]: four }, 8), '4 bytes after the last tensor'],
    [
      'a name as long, and wrong',
      () => file({ ['x'.repeat(1e6)]: 1 }),
      `tensor ${'x'.repeat(120)}… has the unknown dtype`,
    ],
    [
      'a shape as long as the header',
      () => file({ a: entry('F32', new Array(1e5).fill(2), 0, 4) }, 4),
      'needs Infinity',
    ],
    [
      'a product that only looks right',
      () => file({ a: entry('F32', [2 ** 52, 2 ** 12], 0, 4) }, 4),
      'has 4 bytes, needs',
    ],
    ['a header of JSON beyond what any model needs', () => sparse(100_000_000), 'at most 16777216 are read'],
    ['metadata that are no strings', () => file({ __metadata__: { a: 1 } }), '__metadata__ must map names to strings'],
  ])('%s', async (_, make, message) => {
    const path = await make();
    await expect(readSafetensors(path)).rejects.toMatchObject({
      kind: 'invalid_argument',
      message: expect.stringMatching(new RegExp(`${path.replaceAll('.', '\\.')}.*`)),
    });
    await expect(readSafetensors(path)).rejects.toThrow(message);
  });

  test('a missing file is not_found, a folder failed_precondition', async () => {
    await expect(readSafetensors(folder)).rejects.toMatchObject({ kind: 'failed_precondition' });
    await expect(readSafetensors(join(folder, 'none'))).rejects.toMatchObject({ kind: 'not_found' });
  });
});

test('names inside entries and metadata may repeat those outside', async () => {
  const path = await file(
    { __metadata__: { dtype: 'a', a: '{' }, dtype: entry('F32', [1], 0, 4), a: entry('F32', [], 4, 8) },
    8,
  );
  expect([...(await readSafetensors(path)).tensors.keys()]).toEqual(['dtype', 'a']);
});

test('a tensor of no numbers is sound wherever it lies', async () => {
  const path = await file(
    { a: entry('F32', [0, 2 ** 40], 0, 0), b: entry('F32', [1], 0, 4), c: entry('BF16', [0], 4, 4) },
    4,
  );
  const { tensors } = await readSafetensors(path);
  expect([...tensors].map(([name, { shape, data }]) => [name, shape, data.length])).toEqual([
    ['a', [0, 2 ** 40], 0],
    ['b', [1], 1],
    ['c', [0], 0],
  ]);
});

test('a name with escapes that ends in a backslash is read as JSON reads it', async () => {
  const path = await file({ 'a\\': entry('F32', [1], 0, 4), 'a\\"': entry('F32', [1], 4, 8) }, 8);
  expect([...(await readSafetensors(path)).tensors.keys()]).toEqual(['a\\', 'a\\"']);
});
