import { createHash } from 'node:crypto';
import { invalid } from './checks';

/** Numbers that a seed and a purpose decide; the same on every machine and Node version. */
export interface RandomStream {
  /** [0, 1), 53 bits. */
  uniform(): number;
  /** Mean 0, variance 1. */
  normal(): number;
  /** Fills with the numbers that so many calls of `normal` give, times `scale`; several times as fast. */
  normals(values: Float32Array, scale: number): void;
  /** 0..below-1, each as likely; below is 1..2^32. */
  integer(below: number): number;
  /** Shuffles in place and returns the same array. */
  shuffle<T>(items: T[]): T[];
}

/**
 * A stream of random numbers: xoshiro128** with the SHA-256 of seed and purpose as its state.
 *
 * Each purpose has a stream of its own, so one more draw here does not move the numbers there, and a resumed run asks for
 * `randomStream(seed, 'sampling', iteration)` without replaying what came before.
 *
 * @param seed    a whole number
 * @param purpose names and indices; `1` and `'1'` are different
 * @throws DomainError invalid_argument if the seed or a number of the purpose is not whole
 *
 * Source: Blackman and Vigna 2021, arXiv:1805.01407; normal: Marsaglia's polar method, which needs no sine (V8 versions differ
 * in its last bit).
 */
export function randomStream(seed: number | bigint, ...purpose: (string | number)[]): RandomStream {
  for (const number of [seed, ...purpose])
    if (typeof number === 'number' && !Number.isSafeInteger(number))
      throw invalid(`randomStream: ${number} is not a whole number`);
  const { next, normalPairs } = xoshiro(
    createHash('sha256')
      .update(JSON.stringify([seed.toString(), ...purpose]))
      .digest(),
  );
  let spare: number | undefined;

  const uniform = () => ((next() >>> 5) * 0x4000000 + (next() >>> 6)) / 2 ** 53;

  function normal(): number {
    if (spare !== undefined) {
      const value = spare;
      spare = undefined;
      return value;
    }
    for (;;) {
      const x = 2 * uniform() - 1;
      const y = 2 * uniform() - 1;
      const square = x * x + y * y;
      if (square >= 1 || square === 0) continue;
      const scale = Math.sqrt((-2 * Math.log(square)) / square);
      spare = y * scale;
      return x * scale;
    }
  }

  function normals(values: Float32Array, scale: number): void {
    let at = 0;
    if (spare !== undefined && values.length > 0) values[at++] = scale * normal();
    at = normalPairs(values, at, scale);
    if (at < values.length) values[at] = scale * normal();
  }

  function integer(below: number): number {
    if (!Number.isSafeInteger(below) || below < 1 || below > 2 ** 32)
      throw invalid(`RandomStream.integer: ${below} is not in 1..2^32`);
    // Draws in the incomplete last run of 0..below-1 would favour small numbers.
    const limit = 2 ** 32 - (2 ** 32 % below);
    for (;;) {
      const draw = next();
      if (draw < limit) return draw % below;
    }
  }

  function shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = integer(i + 1);
      [items[i], items[j]] = [items[j] as T, items[i] as T];
    }
    return items;
  }

  return { uniform, normal, normals, integer, shuffle };
}

/** xoshiro128** with the first 16 bytes of a digest as its state. */
function xoshiro(digest: Buffer) {
  let [a, b, c, d] = [0, 4, 8, 12].map((at) => digest.readInt32LE(at)) as [number, number, number, number];

  /** An unsigned 32-bit number. */
  function next(): number {
    const scrambled = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return scrambled;
  }

  /**
   * Normal numbers from `from` on, two at a time as long as there is room; what `normal` computes, with the state in local
   * variables, which engines keep in registers.
   *
   * @returns where it ended
   */
  function normalPairs(values: Float32Array, from: number, scale: number): number {
    let [p, q, r, s] = [a, b, c, d];
    let at = from;
    for (const end = values.length - 1; at < end;) {
      let [x, y] = [0, 0];
      // Four draws: the upper 27 and 26 bits of each two are a number in [0, 1).
      for (let half = 0; half < 2; half++) {
        let m = Math.imul(q, 5);
        const high = Math.imul((m << 7) | (m >>> 25), 9) >>> 5;
        let shifted = q << 9;
        r ^= p;
        s ^= q;
        q ^= r;
        p ^= s;
        r ^= shifted;
        s = (s << 11) | (s >>> 21);
        m = Math.imul(q, 5);
        const low = Math.imul((m << 7) | (m >>> 25), 9) >>> 6;
        shifted = q << 9;
        r ^= p;
        s ^= q;
        q ^= r;
        p ^= s;
        r ^= shifted;
        s = (s << 11) | (s >>> 21);
        x = y;
        y = 2 * ((high * 0x4000000 + low) / 2 ** 53) - 1;
      }
      const square = x * x + y * y;
      if (square >= 1 || square === 0) continue;
      const length = Math.sqrt((-2 * Math.log(square)) / square);
      values[at] = scale * (x * length);
      values[at + 1] = scale * (y * length);
      at += 2;
    }
    [a, b, c, d] = [p, q, r, s];
    return at;
  }

  return { next, normalPairs };
}

function rotateLeft(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
