import { bytes, multiplyAdd, splat, sumLanes } from './lanes';
import { capScores, softmaxPrefix } from './softmax';

/**
 * Attention of T new tokens a row over the keys and values of all tokens so far; the new ones are written to the cache first.
 *
 * @param packed [B*T, (heads + 2 * keyHeads) * width]
 * @param keys, values [B, capacity, keyHeads * width]
 * @param starts [B] i32, position of each row's first new token
 * @param weights [capacity] of working memory
 * @param y      [B*T, heads * width]
 * @param cap    0 for none
 * @param window positions that a token sees
 */
export function cachedAttention(
  packed: usize,
  keys: usize,
  values: usize,
  starts: usize,
  weights: usize,
  y: usize,
  B: i32,
  T: i32,
  capacity: i32,
  heads: i32,
  keyHeads: i32,
  width: i32,
  scale: f32,
  cap: f32,
  window: i32,
): void {
  const queryRow = bytes(heads * width);
  const row = bytes(keyHeads * width);
  const head = bytes(width);
  const shared = <usize>(heads / keyHeads) * head;
  for (let b = 0; b < B; b++) {
    const start = load<i32>(starts + bytes(b));
    for (let position = start; position < start + T; position++) {
      memory.copy(keys + <usize>position * row, packed + queryRow, row);
      memory.copy(values + <usize>position * row, packed + queryRow + row, row);
      const first = max(0, position + 1 - window);
      const n = position + 1 - first;
      const from = <usize>first * row;
      for (let at: usize = 0; at < row; at += head) {
        for (let query: usize = 0; query < shared; query += head) {
          scoreKeys(packed + query, keys + from + at, row, weights, n, width);
          if (cap > 0) capScores(weights, n, scale / cap, cap);
          softmaxPrefix(weights, n, n, cap > 0 ? 1 : scale);
          mixValues(weights, values + from + at, row, y + query, n, width);
        }
        packed += shared;
        y += shared;
      }
      packed += 2 * row;
    }
    keys += <usize>capacity * row;
    values += <usize>capacity * row;
  }
}

/** scores[n] = query . key of each position: four at a time, so that no sum waits for itself, each in the order of one alone. */
function scoreKeys(query: usize, key: usize, stride: usize, scores: usize, n: i32, width: i32): void {
  for (; n >= 4; n -= 4) {
    const key1 = key + stride;
    const key2 = key1 + stride;
    const key3 = key2 + stride;
    let s0 = splat(0);
    let s1 = s0;
    let s2 = s0;
    let s3 = s0;
    let z: usize = 0;
    const whole = bytes(width & ~3);
    for (; z < whole; z += 16) {
      const q = v128.load(query + z);
      s0 = multiplyAdd(q, v128.load(key + z), s0);
      s1 = multiplyAdd(q, v128.load(key1 + z), s1);
      s2 = multiplyAdd(q, v128.load(key2 + z), s2);
      s3 = multiplyAdd(q, v128.load(key3 + z), s3);
    }
    let sums = sumFour(s0, s1, s2, s3);
    for (const end = bytes(width); z < end; z += 4) {
      const four = f32x4(load<f32>(key + z), load<f32>(key1 + z), load<f32>(key2 + z), load<f32>(key3 + z));
      sums = f32x4.add(sums, f32x4.mul(splat(load<f32>(query + z)), four));
    }
    v128.store(scores, sums);
    scores += 16;
    key = key3 + stride;
  }
  for (; n > 0; n--) {
    let sums = splat(0);
    let z = 0;
    for (; z + 4 <= width; z += 4) sums = multiplyAdd(v128.load(query + bytes(z)), v128.load(key + bytes(z)), sums);
    let sum: f32 = sumLanes(sums);
    for (; z < width; z++) sum += load<f32>(query + bytes(z)) * load<f32>(key + bytes(z));
    store<f32>(scores, sum);
    scores += 4;
    key += stride;
  }
}

/** The sum of each vector's lanes, in the order of `sumLanes`. */
function sumFour(a: v128, b: v128, c: v128, d: v128): v128 {
  const lowAB = i32x4.shuffle(a, b, 0, 4, 1, 5);
  const highAB = i32x4.shuffle(a, b, 2, 6, 3, 7);
  const lowCD = i32x4.shuffle(c, d, 0, 4, 1, 5);
  const highCD = i32x4.shuffle(c, d, 2, 6, 3, 7);
  const low = f32x4.add(i64x2.shuffle(lowAB, lowCD, 0, 2), i64x2.shuffle(lowAB, lowCD, 1, 3));
  return f32x4.add(low, f32x4.add(i64x2.shuffle(highAB, highCD, 0, 2), i64x2.shuffle(highAB, highCD, 1, 3)));
}

/** y[width] = sum over positions of weight * value */
function mixValues(weights: usize, value: usize, stride: usize, y: usize, n: i32, width: i32): void {
  let z = 0;
  for (; z + 16 <= width; z += 16) {
    let from = value + bytes(z);
    let s0 = splat(0);
    let s1 = s0;
    let s2 = s0;
    let s3 = s0;
    for (let j = 0; j < n; j++) {
      const weight = v128.load32_splat(weights + bytes(j));
      s0 = multiplyAdd(weight, v128.load(from), s0);
      s1 = multiplyAdd(weight, v128.load(from, 16), s1);
      s2 = multiplyAdd(weight, v128.load(from, 32), s2);
      s3 = multiplyAdd(weight, v128.load(from, 48), s3);
      from += stride;
    }
    const to = y + bytes(z);
    v128.store(to, s0);
    v128.store(to, s1, 16);
    v128.store(to, s2, 32);
    v128.store(to, s3, 48);
  }
  for (; z + 4 <= width; z += 4) {
    let from = value + bytes(z);
    let sums = splat(0);
    for (let j = 0; j < n; j++) {
      sums = multiplyAdd(v128.load32_splat(weights + bytes(j)), v128.load(from), sums);
      from += stride;
    }
    v128.store(y + bytes(z), sums);
  }
  for (; z < width; z++) {
    let from = value + bytes(z);
    let sum: f32 = 0;
    for (let j = 0; j < n; j++) {
      sum += load<f32>(weights + bytes(j)) * load<f32>(from);
      from += stride;
    }
    store<f32>(y + bytes(z), sum);
  }
}
