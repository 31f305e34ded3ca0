// Causal attention over packed query, key and value: rows of qkv are [3 * heads * width].
// Products go by blocks of rows, each only as wide as its last row can see: half the work of the whole square.

import { bytes, multiplyAdd, splat, sumLanes } from './lanes';
import { matmul } from './matmul';
import { softmaxPrefix } from './softmax';

const rowsOfBlock: i32 = 32;

/**
 * y[B*T, heads*width] = softmax(q k^T / sqrt(width)) v
 *
 * @param probabilities [B*heads, T, T] with `keep`, for the gradient; else [T, T], reused
 */
export function attention(
  qkv: usize,
  y: usize,
  probabilities: usize,
  keep: bool,
  B: i32,
  T: i32,
  heads: i32,
  width: i32,
): void {
  const d = heads * width;
  const packed = 3 * d;
  const scale: f32 = 1 / sqrt<f32>(<f32>width);
  for (let pair = 0; pair < B * heads; pair++) {
    const sequence = pair / heads;
    const head = pair % heads;
    const query = qkv + bytes(sequence * T * packed + head * width);
    const key = query + bytes(d);
    const value = key + bytes(d);
    const out = y + bytes(sequence * T * d + head * width);
    for (let row = 0; row < T; row += rowsOfBlock) {
      const end = min(T, row + rowsOfBlock);
      const p = probabilities + bytes(row * T);
      matmul(false, true, end - row, end, width, query + bytes(row * packed), packed, key, packed, p, T, 0, 0);
      for (let i = row; i < end; i++) softmaxPrefix(probabilities + bytes(i * T), i + 1, end, scale);
      matmul(false, false, end - row, width, end, p, T, value, packed, out + bytes(row * d), d, 0, 0);
    }
    if (keep) probabilities += bytes(T * T);
  }
}

/**
 * With P the probabilities and dP = dy v^T: dS = P (dP - rowsum(P dP)) / sqrt(width), dq = dS k, dk = dS^T q, dv = P^T dy.
 *
 * @param scores [T, T] of working memory
 */
export function attentionGradient(
  qkv: usize,
  probabilities: usize,
  dy: usize,
  dqkv: usize,
  scores: usize,
  B: i32,
  T: i32,
  heads: i32,
  width: i32,
): void {
  const d = heads * width;
  const packed = 3 * d;
  const scale: f32 = 1 / sqrt<f32>(<f32>width);
  for (let pair = 0; pair < B * heads; pair++) {
    const sequence = pair / heads;
    const head = pair % heads;
    const at = bytes(sequence * T * packed + head * width);
    const query = qkv + at;
    const key = query + bytes(d);
    const value = key + bytes(d);
    const dquery = dqkv + at;
    const dkey = dquery + bytes(d);
    const dvalue = dkey + bytes(d);
    const up = dy + bytes(sequence * T * d + head * width);
    for (let row = 0; row < T; row += rowsOfBlock) {
      const end = min(T, row + rowsOfBlock);
      const s = scores + bytes(row * T);
      matmul(false, true, end - row, end, width, up + bytes(row * d), d, value, packed, s, T, 0, 0);
      for (let i = row; i < end; i++) softmaxGradient(probabilities + bytes(i * T), scores + bytes(i * T), end, scale);
      matmul(false, false, end - row, width, end, s, T, key, packed, dquery + bytes(row * packed), packed, 0, 0);
    }
    // Keys of a block are seen by its own and later rows only.
    for (let row = 0; row < T; row += rowsOfBlock) {
      const rows = min(T, row + rowsOfBlock) - row;
      const corner = bytes(row * T + row);
      const to = bytes(row * packed);
      matmul(true, false, rows, width, T - row, scores + corner, T, query + to, packed, dkey + to, packed, 0, 0);
      const from = up + bytes(row * d);
      matmul(true, false, rows, width, T - row, probabilities + corner, T, from, d, dvalue + to, packed, 0, 0);
    }
    probabilities += bytes(T * T);
  }
}

/** s = p scale (s - sum p s), n elements */
function softmaxGradient(p: usize, s: usize, n: i32, scale: f32): void {
  let products = splat(0);
  let i = 0;
  for (; i + 4 <= n; i += 4) products = multiplyAdd(v128.load(p + bytes(i)), v128.load(s + bytes(i)), products);
  let product: f32 = sumLanes(products);
  for (; i < n; i++) product += load<f32>(p + bytes(i)) * load<f32>(s + bytes(i));
  const scales = splat(scale);
  const means = splat(product);
  for (i = 0; i + 4 <= n; i += 4) {
    const weight = f32x4.mul(v128.load(p + bytes(i)), scales);
    v128.store(s + bytes(i), f32x4.mul(weight, f32x4.sub(v128.load(s + bytes(i)), means)));
  }
  for (; i < n; i++) {
    store<f32>(s + bytes(i), load<f32>(p + bytes(i)) * scale * (load<f32>(s + bytes(i)) - product));
  }
}
