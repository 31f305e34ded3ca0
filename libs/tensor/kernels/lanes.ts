// Four floats at a time: what every kernel is made of. Small enough that the compiler inlines it.

/** c + a * b, lane by lane; rounded once where relaxed SIMD has the CPU's multiply-add, else twice. */
export function multiplyAdd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(c, f32x4.mul(a, b));
}

export function splat(x: f32): v128 {
  return f32x4.splat(x);
}

/** Bytes of `count` floats. */
export function bytes(count: i32): usize {
  return (<usize>count) << 2;
}

export function sumLanes(v: v128): f32 {
  const low = f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1);
  return low + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}

export function maxLanes(v: v128): f32 {
  const low = max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1));
  return max(low, max(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)));
}

/**
 * e^x to about 1e-7, for x clamped to -87.3..88.3; NaN stays NaN.
 *
 * x = n ln 2 + r with whole n; e^r by Cephes' polynomial (expf), times 2^n by adding n to the exponent's bits. Adding
 * 1.5 * 2^23 rounds to a whole number and leaves n in the low bits.
 */
export function exp4(x: v128): v128 {
  // In this order of operands the comparisons let NaN through.
  const clamped = f32x4.pmax(f32x4.pmin(x, splat(88.3)), splat(-87.3));
  const shifted = f32x4.add(f32x4.mul(clamped, splat(1.44269504)), splat(12582912));
  const n = f32x4.sub(shifted, splat(12582912));
  // ln 2 in two parts, so that n times the first is exact.
  const r = multiplyAdd(n, splat(2.1219444e-4), multiplyAdd(n, splat(-0.693359375), clamped));
  let p = multiplyAdd(splat(1.98756915e-4), r, splat(1.3981999507e-3));
  p = multiplyAdd(p, r, splat(8.3334519073e-3));
  p = multiplyAdd(p, r, splat(4.1665795894e-2));
  p = multiplyAdd(p, r, splat(1.6666665459e-1));
  p = multiplyAdd(p, r, splat(0.5));
  p = f32x4.add(multiplyAdd(p, f32x4.mul(r, r), r), splat(1));
  return f32x4.mul(p, i32x4.add(i32x4.shl(shifted, 23), i32x4.splat(0x3f800000)));
}

/** As `exp4`, to the same bits. */
export function exp1(x: f32): f32 {
  return f32x4.extract_lane(exp4(splat(x)), 0);
}

/** tanh x to about 1e-7 of itself: Cephes' polynomial (tanhf) near 0, beyond it 1 - 2 / (e^2x + 1); NaN stays NaN. */
export function tanh4(x: v128): v128 {
  const size = f32x4.abs(x);
  const square = f32x4.mul(x, x);
  let p = multiplyAdd(splat(-5.70498872745e-3), square, splat(2.06390887954e-2));
  p = multiplyAdd(p, square, splat(-5.37397155531e-2));
  p = multiplyAdd(p, square, splat(1.33314422036e-1));
  p = multiplyAdd(p, square, splat(-3.33332819422e-1));
  const near = multiplyAdd(f32x4.mul(p, square), x, x);
  const far = f32x4.sub(splat(1), f32x4.div(splat(2), f32x4.add(exp4(f32x4.add(size, size)), splat(1))));
  const signed = v128.or(far, v128.and(x, i32x4.splat(0x80000000)));
  return v128.bitselect(near, signed, f32x4.lt(size, splat(0.625)));
}

/** As `tanh4`, to the same bits. */
export function tanh1(x: f32): f32 {
  return f32x4.extract_lane(tanh4(splat(x)), 0);
}
