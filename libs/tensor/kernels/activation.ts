// GELU in its tanh form, written as x sigmoid(2u) with u = sqrt(2 / pi) (x + 0.044715 x^3): 0.5 (1 + tanh u) = sigmoid(2u); and
// SiLU, x sigmoid(x).

import { exp4, multiplyAdd, splat } from './lanes';

/** 2 sqrt(2 / pi) and 0.044715 times that. */
const linearPart: f32 = 1.59576912161;
const cubicPart: f32 = 0.0713548162726;

/** y = gelu(x), n elements */
export function gelu(x: usize, y: usize, n: i32): void {
  for (; n >= 4; n -= 4) {
    const v = v128.load(x);
    v128.store(y, f32x4.mul(v, gate(v)));
    x += 16;
    y += 16;
  }
  for (; n > 0; n--) {
    const v = v128.load32_zero(x);
    store<f32>(y, f32x4.extract_lane(f32x4.mul(v, gate(v)), 0));
    x += 4;
    y += 4;
  }
}

/** dx = dy gelu'(x), n elements */
export function geluGradient(x: usize, dy: usize, dx: usize, n: i32): void {
  for (; n >= 4; n -= 4) {
    v128.store(dx, f32x4.mul(v128.load(dy), slope(v128.load(x))));
    x += 16;
    dy += 16;
    dx += 16;
  }
  for (; n > 0; n--) {
    store<f32>(dx, load<f32>(dy) * f32x4.extract_lane(slope(v128.load32_zero(x)), 0));
    x += 4;
    dy += 4;
    dx += 4;
  }
}

/** sigmoid(2u) */
function gate(x: v128): v128 {
  const minus2u = f32x4.mul(x, multiplyAdd(f32x4.mul(x, x), splat(-cubicPart), splat(-linearPart)));
  return f32x4.div(splat(1), f32x4.add(splat(1), exp4(minus2u)));
}

/** d/dx x s(2u) = s + x s (1 - s) d(2u)/dx */
function slope(x: v128): v128 {
  const s = gate(x);
  const d2u = multiplyAdd(f32x4.mul(x, x), splat(3 * cubicPart), splat(linearPart));
  return multiplyAdd(f32x4.mul(f32x4.mul(x, s), f32x4.sub(splat(1), s)), d2u, s);
}

/** y = silu(x), n elements */
export function silu(x: usize, y: usize, n: i32): void {
  for (; n >= 4; n -= 4) {
    const v = v128.load(x);
    v128.store(y, f32x4.mul(v, sigmoid(v)));
    x += 16;
    y += 16;
  }
  for (; n > 0; n--) {
    const v = v128.load32_zero(x);
    store<f32>(y, f32x4.extract_lane(f32x4.mul(v, sigmoid(v)), 0));
    x += 4;
    y += 4;
  }
}

/** dx = dy silu'(x), n elements */
export function siluGradient(x: usize, dy: usize, dx: usize, n: i32): void {
  for (; n >= 4; n -= 4) {
    v128.store(dx, f32x4.mul(v128.load(dy), siluSlope(v128.load(x))));
    x += 16;
    dy += 16;
    dx += 16;
  }
  for (; n > 0; n--) {
    store<f32>(dx, load<f32>(dy) * f32x4.extract_lane(siluSlope(v128.load32_zero(x)), 0));
    x += 4;
    dy += 4;
    dx += 4;
  }
}

function sigmoid(x: v128): v128 {
  return f32x4.div(splat(1), f32x4.add(splat(1), exp4(f32x4.neg(x))));
}

/** s + x s (1 - s) */
function siluSlope(x: v128): v128 {
  const s = sigmoid(x);
  return multiplyAdd(f32x4.mul(x, s), f32x4.sub(splat(1), s), s);
}
