/** BF16 to F32: it is the upper half of one. */
export function widenBfloat16(halves: Uint16Array): Float32Array<ArrayBuffer> {
  const values = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) values[i] = halves[i]! << 16;
  return new Float32Array(values.buffer);
}

/** F32 to the nearest BF16, of two as near to the even one; infinity and NaN stay what they are. */
export function narrowToBfloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const word = bits[i]!;
    // Adding half of the last place that stays could carry a NaN over into another number.
    halves[i] = (word & 0x7fffffff) > 0x7f800000 ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return halves;
}

/** All 65,536 values of F16 as the bits of F32, made at the first use. */
let table: Uint32Array | undefined;

/** F16 to F32. */
export function widenFloat16(halves: Uint16Array): Float32Array<ArrayBuffer> {
  if (!table) {
    const values = Float32Array.from({ length: 2 ** 16 }, (_, half) => valueOfFloat16(half));
    table = new Uint32Array(values.buffer);
  }
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = table[halves[i]!]!;
  return new Float32Array(bits.buffer);
}

function valueOfFloat16(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
