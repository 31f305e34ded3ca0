// Causal attention over packed query, key and value: rows are [(heads + 2 * keyHeads) * width], key heads shared by query heads.
// Products go by blocks of rows, each only as wide as its rows can see: half the work of the whole square, less under a window.

import { bytes, multiplyAdd, splat, sumLanes } from './lanes';
import { matmul } from './matmul';
import { capScores, capSlopes, softmaxPrefix } from './softmax';

const rowsOfBlock: i32 = 32;

/**
 * y[B*T, heads*width] = softmax(score(q k^T)) v with score(x) = scale x, or cap tanh(scale x / cap) where there is a cap
 *
 * @param probabilities [B*heads, T, T] with `keep`, for the gradient; else [T, T], reused
 * @param cap    0 for none
 * @param window positions that a token sees, at most T
 */
export function attention(
  packed: usize,
  y: usize,
  probabilities: usize,
  keep: bool,
  B: i32,
  T: i32,
  heads: i32,
  keyHeads: i32,
  width: i32,
  scale: f32,
  cap: f32,
  window: i32,
): void {
  const d = heads * width;
  const stride = d + 2 * keyHeads * width;
  const shared = heads / keyHeads;
  for (let pair = 0; pair < B * heads; pair++) {
    const sequence = pair / heads;
    const head = pair % heads;
    const start = packed + bytes(sequence * T * stride);
    const query = start + bytes(head * width);
    const key = start + bytes(d + (head / shared) * width);
    const value = key + bytes(keyHeads * width);
    const out = y + bytes(sequence * T * d + head * width);
    for (let row = 0; row < T; row += rowsOfBlock) {
      const end = min(T, row + rowsOfBlock);
      const first = firstSeen(row, window);
      const p = probabilities + bytes(row * T + first);
      const from = bytes(first * stride);
      const wide = end - first;
      matmul(false, true, end - row, wide, width, query + bytes(row * stride), stride, key + from, stride, p, T, 0, 0);
      for (let i = row; i < end; i++) {
        const begin = max(0, i + 1 - window);
        const line = probabilities + bytes(i * T + begin);
        if (begin > first) memory.fill(probabilities + bytes(i * T + first), 0, bytes(begin - first));
        if (cap > 0) capScores(line, i + 1 - begin, scale / cap, cap);
        softmaxPrefix(line, i + 1 - begin, end - begin, cap > 0 ? 1 : scale);
      }
      matmul(false, false, end - row, width, wide, p, T, value + from, stride, out + bytes(row * d), d, 0, 0);
    }
    if (keep) probabilities += bytes(T * T);
  }
}

/**
 * With P the probabilities and dP = dy v^T: dS = P (dP - rowsum(P dP)) score', dq = dS k, dk = dS^T q, dv = P^T dy; those of a key
 * head are summed over its query heads in their order.
 *
 * @param scores [T, T] of working memory
 * @param tanhs  [32, T] of working memory where there is a cap
 */
export function attentionGradient(
  packed: usize,
  probabilities: usize,
  dy: usize,
  dpacked: usize,
  scores: usize,
  tanhs: usize,
  B: i32,
  T: i32,
  heads: i32,
  keyHeads: i32,
  width: i32,
  scale: f32,
  cap: f32,
  window: i32,
): void {
  const d = heads * width;
  const stride = d + 2 * keyHeads * width;
  const shared = heads / keyHeads;
  for (let pair = 0; pair < B * heads; pair++) {
    const sequence = pair / heads;
    const head = pair % heads;
    const atQuery = bytes(sequence * T * stride + head * width);
    const atKey = bytes(sequence * T * stride + d + (head / shared) * width);
    const query = packed + atQuery;
    const key = packed + atKey;
    const value = key + bytes(keyHeads * width);
    const dquery = dpacked + atQuery;
    const dkey = dpacked + atKey;
    const dvalue = dkey + bytes(keyHeads * width);
    const up = dy + bytes(sequence * T * d + head * width);
    for (let row = 0; row < T; row += rowsOfBlock) {
      const end = min(T, row + rowsOfBlock);
      const first = firstSeen(row, window);
      const s = scores + bytes(row * T + first);
      const from = bytes(first * stride);
      const to = bytes(row * stride);
      const wide = end - first;
      matmul(false, true, end - row, wide, width, up + bytes(row * d), d, value + from, stride, s, T, 0, 0);
      for (let i = 0; i < end - row; i++) {
        const at = bytes(i * T);
        softmaxGradient(probabilities + bytes(row * T + first) + at, s + at, wide, scale);
      }
      if (cap > 0) {
        matmul(false, true, end - row, wide, width, query + to, stride, key + from, stride, tanhs, T, 0, 0);
        for (let i = 0; i < end - row; i++) capSlopes(tanhs + bytes(i * T), s + bytes(i * T), wide, scale / cap);
      }
      matmul(false, false, end - row, width, wide, s, T, key + from, stride, dquery + to, stride, 0, 0);
    }
    const isFirst = head % shared == 0;
    // Keys of a block are seen by its own and later rows only, and by none of a block that begins past its window.
    for (let row = 0; row < T; row += rowsOfBlock) {
      const keys = min(T, row + rowsOfBlock) - row;
      const lastBlock = (row + rowsOfBlock - 2 + window) / rowsOfBlock;
      const rows = min(T, (lastBlock + 1) * rowsOfBlock) - row;
      const corner = bytes(row * T + row);
      const to = bytes(row * stride);
      const dk = dkey + to;
      const dv = dvalue + to;
      const from = up + bytes(row * d);
      const initialK: usize = isFirst ? 0 : dk;
      const initialV: usize = isFirst ? 0 : dv;
      matmul(true, false, keys, width, rows, scores + corner, T, query + to, stride, dk, stride, initialK, stride);
      matmul(true, false, keys, width, rows, probabilities + corner, T, from, d, dv, stride, initialV, stride);
    }
    probabilities += bytes(T * T);
  }
}

/** The first position whose block of columns any row of the block from `row` on sees. */
function firstSeen(row: i32, window: i32): i32 {
  return (max(0, row + 1 - window) / rowsOfBlock) * rowsOfBlock;
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
