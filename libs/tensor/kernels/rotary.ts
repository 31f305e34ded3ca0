import { bytes, multiplyAdd, splat } from './lanes';

/**
 * The two halves a, b of each of the first `rotated` heads of a row become a cos - b sin, b cos + a sin; the rest is copied.
 *
 * @param x, y   [M, width]
 * @param cosines, sines [M, half]
 * @param direction 1, or -1 to turn back
 */
export function rotate(
  x: usize,
  cosines: usize,
  sines: usize,
  y: usize,
  M: i32,
  width: i32,
  half: i32,
  rotated: i32,
  direction: f32,
): void {
  const step = bytes(half);
  const rest = bytes(width - 2 * half * rotated);
  for (let row = 0; row < M; row++) {
    for (let head = 0; head < rotated; head++) {
      turn(x, cosines, sines, y, half, direction);
      x += 2 * step;
      y += 2 * step;
    }
    memory.copy(y, x, rest);
    x += rest;
    y += rest;
    cosines += step;
    sines += step;
  }
}

function turn(x: usize, cosines: usize, sines: usize, y: usize, half: i32, direction: f32): void {
  const directions = splat(direction);
  const other = bytes(half);
  let n = half;
  for (; n >= 4; n -= 4) {
    const a = v128.load(x);
    const b = v128.load(x + other);
    const cosine = v128.load(cosines);
    const sine = f32x4.mul(v128.load(sines), directions);
    v128.store(y, multiplyAdd(f32x4.neg(b), sine, f32x4.mul(a, cosine)));
    v128.store(y + other, multiplyAdd(a, sine, f32x4.mul(b, cosine)));
    x += 16;
    y += 16;
    cosines += 16;
    sines += 16;
  }
  for (; n > 0; n--) {
    const a = load<f32>(x);
    const b = load<f32>(x + other);
    const cosine = load<f32>(cosines);
    const sine = load<f32>(sines) * direction;
    store<f32>(y, a * cosine - b * sine);
    store<f32>(y + other, b * cosine + a * sine);
    x += 4;
    y += 4;
    cosines += 4;
    sines += 4;
  }
}
