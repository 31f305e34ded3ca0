// Small helpers over rows of floats.

import { bytes } from './lanes';

/** y = a + b, n elements; y may be a or b. */
export function add(a: usize, b: usize, y: usize, n: i32): void {
  for (; n >= 4; n -= 4) {
    v128.store(y, f32x4.add(v128.load(a), v128.load(b)));
    a += 16;
    b += 16;
    y += 16;
  }
  for (; n > 0; n--) {
    store<f32>(y, load<f32>(a) + load<f32>(b));
    a += 4;
    b += 4;
    y += 4;
  }
}

/** y[M, N] = x[M, N] + row[N] */
export function addRow(x: usize, row: usize, y: usize, M: i32, N: i32): void {
  const step = bytes(N);
  for (let i = 0; i < M; i++) {
    add(x, row, y, N);
    x += step;
    y += step;
  }
}

/** sums[N] = sum over rows of x[M, N] */
export function sumRows(x: usize, sums: usize, M: i32, N: i32): void {
  const row = bytes(N);
  let column = 0;
  for (; column + 16 <= N; column += 16) {
    let from = x + bytes(column);
    let s0 = f32x4.splat(0);
    let s1 = s0;
    let s2 = s0;
    let s3 = s0;
    for (let i = 0; i < M; i++) {
      s0 = f32x4.add(s0, v128.load(from));
      s1 = f32x4.add(s1, v128.load(from, 16));
      s2 = f32x4.add(s2, v128.load(from, 32));
      s3 = f32x4.add(s3, v128.load(from, 48));
      from += row;
    }
    const to = sums + bytes(column);
    v128.store(to, s0);
    v128.store(to, s1, 16);
    v128.store(to, s2, 32);
    v128.store(to, s3, 48);
  }
  for (; column < N; column++) {
    let from = x + bytes(column);
    let sum: f32 = 0;
    for (let i = 0; i < M; i++) {
      sum += load<f32>(from);
      from += row;
    }
    store<f32>(sums + bytes(column), sum);
  }
}

/** Sum of squares in float64, so that the norm of millions of gradients keeps its digits. */
export function sumOfSquares(x: usize, n: i32): f64 {
  let low = f64x2.splat(0);
  let high = low;
  for (; n >= 4; n -= 4) {
    const v = v128.load(x);
    const a = f64x2.promote_low_f32x4(v);
    const b = f64x2.promote_low_f32x4(i64x2.shuffle(v, v, 1, 1));
    low = f64x2.add(low, f64x2.mul(a, a));
    high = f64x2.add(high, f64x2.mul(b, b));
    x += 16;
  }
  const lanes = f64x2.add(low, high);
  let sum = f64x2.extract_lane(lanes, 0) + f64x2.extract_lane(lanes, 1);
  for (; n > 0; n--) {
    const value = <f64>load<f32>(x);
    sum += value * value;
    x += 4;
  }
  return sum;
}
