// Root-mean-square normalisation over rows of d floats, any d.

import { bytes, multiplyAdd, splat, sumLanes } from './lanes';

/** y = x inverse (gain + offset) with inverse = 1 / sqrt(mean(x^2) + epsilon), kept [M] for the gradient */
export function rmsNorm(
  x: usize,
  gain: usize,
  y: usize,
  inverses: usize,
  M: i32,
  d: i32,
  epsilon: f32,
  offset: f32,
): void {
  const whole = bytes(d & ~3);
  const end = bytes(d);
  const share: f32 = 1 / <f32>d;
  const offsets = splat(offset);
  for (let i = 0; i < M; i++) {
    const inverse: f32 = 1 / sqrt<f32>(sumProducts(x, x, whole, end) * share + epsilon);
    const scales = splat(inverse);
    let at: usize = 0;
    for (; at < whole; at += 16) {
      const factor = f32x4.add(v128.load(gain + at), offsets);
      v128.store(y + at, f32x4.mul(f32x4.mul(v128.load(x + at), scales), factor));
    }
    for (; at < end; at += 4) store<f32>(y + at, load<f32>(x + at) * inverse * (load<f32>(gain + at) + offset));
    store<f32>(inverses, inverse);
    inverses += 4;
    x += end;
    y += end;
  }
}

/**
 * With n = x inverse and t = dy (gain + offset): dx = (t - n mean(t n)) inverse, dgain = sum dy n.
 *
 * @param dgain 0 where it is not asked for
 */
export function rmsNormGradient(
  x: usize,
  gain: usize,
  dy: usize,
  inverses: usize,
  dx: usize,
  dgain: usize,
  M: i32,
  d: i32,
  offset: f32,
): void {
  const whole = bytes(d & ~3);
  const end = bytes(d);
  const share: f32 = 1 / <f32>d;
  const offsets = splat(offset);
  if (dgain) memory.fill(dgain, 0, end);
  for (let i = 0; i < M; i++) {
    const inverse = load<f32>(inverses);
    if (dgain) addScaled(x, dy, inverse, dgain, whole, end);
    // t goes to dx first.
    let at: usize = 0;
    for (; at < whole; at += 16) {
      v128.store(dx + at, f32x4.mul(v128.load(dy + at), f32x4.add(v128.load(gain + at), offsets)));
    }
    for (; at < end; at += 4) store<f32>(dx + at, load<f32>(dy + at) * (load<f32>(gain + at) + offset));
    const projection: f32 = sumProducts(dx, x, whole, end) * share * inverse * inverse;
    const projections = splat(projection);
    const scales = splat(inverse);
    for (at = 0; at < whole; at += 16) {
      const along = f32x4.mul(v128.load(x + at), projections);
      v128.store(dx + at, f32x4.mul(f32x4.sub(v128.load(dx + at), along), scales));
    }
    for (; at < end; at += 4) store<f32>(dx + at, (load<f32>(dx + at) - load<f32>(x + at) * projection) * inverse);
    inverses += 4;
    x += end;
    dy += end;
    dx += end;
  }
}

/** sums += x dy inverse */
function addScaled(x: usize, dy: usize, inverse: f32, sums: usize, whole: usize, end: usize): void {
  const scales = splat(inverse);
  let at: usize = 0;
  for (; at < whole; at += 16) {
    const normal = f32x4.mul(v128.load(x + at), scales);
    v128.store(sums + at, multiplyAdd(v128.load(dy + at), normal, v128.load(sums + at)));
  }
  for (; at < end; at += 4) {
    store<f32>(sums + at, load<f32>(sums + at) + load<f32>(dy + at) * (load<f32>(x + at) * inverse));
  }
}

function sumProducts(a: usize, b: usize, whole: usize, end: usize): f32 {
  let sums = splat(0);
  let at: usize = 0;
  for (; at < whole; at += 16) sums = multiplyAdd(v128.load(a + at), v128.load(b + at), sums);
  let sum = sumLanes(sums);
  for (; at < end; at += 4) sum += load<f32>(a + at) * load<f32>(b + at);
  return sum;
}
