import { bytes, multiplyAdd, splat, sumLanes } from './lanes';
import { softmaxPrefix } from './softmax';

/**
 * Attention of T new tokens a row over the keys and values of all tokens so far; the new ones are written to the cache first.
 *
 * @param qkv    [B*T, 3 * heads * width]
 * @param keys, values [B, capacity, heads * width]
 * @param starts [B] i32, position of each row's first new token
 * @param weights [capacity] of working memory
 * @param y      [B*T, heads * width]
 */
export function cachedAttention(
  qkv: usize,
  keys: usize,
  values: usize,
  starts: usize,
  weights: usize,
  y: usize,
  B: i32,
  T: i32,
  capacity: i32,
  heads: i32,
  width: i32,
): void {
  const row = bytes(heads * width);
  const head = bytes(width);
  const scale: f32 = 1 / sqrt<f32>(<f32>width);
  for (let b = 0; b < B; b++) {
    const start = load<i32>(starts + bytes(b));
    for (let position = start; position < start + T; position++) {
      memory.copy(keys + <usize>position * row, qkv + row, row);
      memory.copy(values + <usize>position * row, qkv + 2 * row, row);
      for (let at: usize = 0; at < row; at += head) {
        scoreKeys(qkv + at, keys + at, row, weights, position + 1, width);
        softmaxPrefix(weights, position + 1, position + 1, scale);
        mixValues(weights, values + at, row, y + at, position + 1, width);
      }
      qkv += 3 * row;
      y += row;
    }
    keys += <usize>capacity * row;
    values += <usize>capacity * row;
  }
}

/** scores[n] = query . key of each position */
function scoreKeys(query: usize, key: usize, stride: usize, scores: usize, n: i32, width: i32): void {
  for (let j = 0; j < n; j++) {
    let sums = splat(0);
    let z = 0;
    for (; z + 4 <= width; z += 4) sums = multiplyAdd(v128.load(query + bytes(z)), v128.load(key + bytes(z)), sums);
    let sum: f32 = sumLanes(sums);
    for (; z < width; z++) sum += load<f32>(query + bytes(z)) * load<f32>(key + bytes(z));
    store<f32>(scores + bytes(j), sum);
    key += stride;
  }
}

/** y[width] = sum over positions of weight * value */
function mixValues(weights: usize, value: usize, stride: usize, y: usize, n: i32, width: i32): void {
  let z = 0;
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
