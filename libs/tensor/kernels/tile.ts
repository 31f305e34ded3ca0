// The inner kernels of the product: a tile of 4 or 6 rows and 8 columns over packed panels.

import { multiplyAdd, splat } from './lanes';

// One k a turn: in unrolled loops V8 runs out of registers and spills.

/**
 * result = initial + a b for 4 x 8 elements; a is [depth][4], b is [depth][8].
 *
 * @param initial 0 for zeros, else the address of the tile's first row
 */
export function tile4(
  depth: i32,
  a: usize,
  b: usize,
  result: usize,
  resultStride: usize,
  initial: usize,
  initialStride: usize,
): void {
  let c00 = splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  if (initial) {
    c00 = v128.load(initial);
    c01 = v128.load(initial, 16);
    initial += initialStride;
    c10 = v128.load(initial);
    c11 = v128.load(initial, 16);
    initial += initialStride;
    c20 = v128.load(initial);
    c21 = v128.load(initial, 16);
    initial += initialStride;
    c30 = v128.load(initial);
    c31 = v128.load(initial, 16);
  }
  for (; depth > 0; depth--) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let x = v128.load32_splat(a);
    c00 = multiplyAdd(x, b0, c00);
    c01 = multiplyAdd(x, b1, c01);
    x = v128.load32_splat(a, 4);
    c10 = multiplyAdd(x, b0, c10);
    c11 = multiplyAdd(x, b1, c11);
    x = v128.load32_splat(a, 8);
    c20 = multiplyAdd(x, b0, c20);
    c21 = multiplyAdd(x, b1, c21);
    x = v128.load32_splat(a, 12);
    c30 = multiplyAdd(x, b0, c30);
    c31 = multiplyAdd(x, b1, c31);
    a += 16;
    b += 32;
  }
  v128.store(result, c00);
  v128.store(result, c01, 16);
  result += resultStride;
  v128.store(result, c10);
  v128.store(result, c11, 16);
  result += resultStride;
  v128.store(result, c20);
  v128.store(result, c21, 16);
  result += resultStride;
  v128.store(result, c30);
  v128.store(result, c31, 16);
}

/** As `tile4` for 6 x 8 elements; a is [depth][6]. */
export function tile6(
  depth: i32,
  a: usize,
  b: usize,
  result: usize,
  resultStride: usize,
  initial: usize,
  initialStride: usize,
): void {
  let c00 = splat(0);
  let c01 = c00;
  let c10 = c00;
  let c11 = c00;
  let c20 = c00;
  let c21 = c00;
  let c30 = c00;
  let c31 = c00;
  let c40 = c00;
  let c41 = c00;
  let c50 = c00;
  let c51 = c00;
  if (initial) {
    c00 = v128.load(initial);
    c01 = v128.load(initial, 16);
    initial += initialStride;
    c10 = v128.load(initial);
    c11 = v128.load(initial, 16);
    initial += initialStride;
    c20 = v128.load(initial);
    c21 = v128.load(initial, 16);
    initial += initialStride;
    c30 = v128.load(initial);
    c31 = v128.load(initial, 16);
    initial += initialStride;
    c40 = v128.load(initial);
    c41 = v128.load(initial, 16);
    initial += initialStride;
    c50 = v128.load(initial);
    c51 = v128.load(initial, 16);
  }
  for (; depth > 0; depth--) {
    const b0 = v128.load(b);
    const b1 = v128.load(b, 16);
    let x = v128.load32_splat(a);
    c00 = multiplyAdd(x, b0, c00);
    c01 = multiplyAdd(x, b1, c01);
    x = v128.load32_splat(a, 4);
    c10 = multiplyAdd(x, b0, c10);
    c11 = multiplyAdd(x, b1, c11);
    x = v128.load32_splat(a, 8);
    c20 = multiplyAdd(x, b0, c20);
    c21 = multiplyAdd(x, b1, c21);
    x = v128.load32_splat(a, 12);
    c30 = multiplyAdd(x, b0, c30);
    c31 = multiplyAdd(x, b1, c31);
    x = v128.load32_splat(a, 16);
    c40 = multiplyAdd(x, b0, c40);
    c41 = multiplyAdd(x, b1, c41);
    x = v128.load32_splat(a, 20);
    c50 = multiplyAdd(x, b0, c50);
    c51 = multiplyAdd(x, b1, c51);
    a += 24;
    b += 32;
  }
  v128.store(result, c00);
  v128.store(result, c01, 16);
  result += resultStride;
  v128.store(result, c10);
  v128.store(result, c11, 16);
  result += resultStride;
  v128.store(result, c20);
  v128.store(result, c21, 16);
  result += resultStride;
  v128.store(result, c30);
  v128.store(result, c31, 16);
  result += resultStride;
  v128.store(result, c40);
  v128.store(result, c41, 16);
  result += resultStride;
  v128.store(result, c50);
  v128.store(result, c51, 16);
}
