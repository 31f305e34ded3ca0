// Layer normalisation over rows of d floats, any d.

import { bytes, multiplyAdd, splat, sumLanes } from './lanes';

/** y = (x - mean) / deviation * gain + bias; statistics[M][2] keeps mean and 1 / deviation for the gradient. */
export function layerNorm(
  x: usize,
  gain: usize,
  bias: usize,
  y: usize,
  statistics: usize,
  M: i32,
  d: i32,
  epsilon: f32,
): void {
  const whole = bytes(d & ~3);
  const end = bytes(d);
  const share: f32 = 1 / <f32>d;
  for (let i = 0; i < M; i++) {
    const mean = sumRow(x, whole, end) * share;
    const scale: f32 = 1 / sqrt<f32>(sumSquaredDistance(x, mean, whole, end) * share + epsilon);
    const means = splat(mean);
    const scales = splat(scale);
    let at: usize = 0;
    for (; at < whole; at += 16) {
      const normal = f32x4.mul(f32x4.sub(v128.load(x + at), means), scales);
      v128.store(y + at, multiplyAdd(normal, v128.load(gain + at), v128.load(bias + at)));
    }
    for (; at < end; at += 4) {
      store<f32>(y + at, (load<f32>(x + at) - mean) * scale * load<f32>(gain + at) + load<f32>(bias + at));
    }
    store<f32>(statistics, mean);
    store<f32>(statistics, scale, 4);
    statistics += 8;
    x += end;
    y += end;
  }
}

/**
 * With n = (x - mean) / deviation and t = dy gain: dgain = sum dy n, dbias = sum dy,
 * dx = (t - mean(t) - n mean(t n)) / deviation.
 */
export function layerNormGradient(
  x: usize,
  gain: usize,
  dy: usize,
  statistics: usize,
  dx: usize,
  dgain: usize,
  dbias: usize,
  M: i32,
  d: i32,
): void {
  const whole = bytes(d & ~3);
  const end = bytes(d);
  const share: f32 = 1 / <f32>d;
  memory.fill(dgain, 0, end);
  memory.fill(dbias, 0, end);
  for (let i = 0; i < M; i++) {
    const mean = load<f32>(statistics);
    const scale = load<f32>(statistics, 4);
    const means = splat(mean);
    const scales = splat(scale);
    let sums = splat(0);
    let products = sums;
    let at: usize = 0;
    for (; at < whole; at += 16) {
      const up = v128.load(dy + at);
      const normal = f32x4.mul(f32x4.sub(v128.load(x + at), means), scales);
      const t = f32x4.mul(up, v128.load(gain + at));
      v128.store(dgain + at, multiplyAdd(up, normal, v128.load(dgain + at)));
      v128.store(dbias + at, f32x4.add(up, v128.load(dbias + at)));
      sums = f32x4.add(sums, t);
      products = multiplyAdd(t, normal, products);
    }
    let sum = sumLanes(sums);
    let product = sumLanes(products);
    for (; at < end; at += 4) {
      const up = load<f32>(dy + at);
      const normal = (load<f32>(x + at) - mean) * scale;
      const t = up * load<f32>(gain + at);
      store<f32>(dgain + at, load<f32>(dgain + at) + up * normal);
      store<f32>(dbias + at, load<f32>(dbias + at) + up);
      sum += t;
      product += t * normal;
    }
    sum *= share;
    product *= share;
    const meanT = splat(sum);
    const meanTN = splat(product);
    for (at = 0; at < whole; at += 16) {
      const normal = f32x4.mul(f32x4.sub(v128.load(x + at), means), scales);
      const t = f32x4.mul(v128.load(dy + at), v128.load(gain + at));
      v128.store(dx + at, f32x4.mul(scales, f32x4.sub(f32x4.sub(t, meanT), f32x4.mul(normal, meanTN))));
    }
    for (; at < end; at += 4) {
      const normal = (load<f32>(x + at) - mean) * scale;
      store<f32>(dx + at, scale * (load<f32>(dy + at) * load<f32>(gain + at) - sum - normal * product));
    }
    statistics += 8;
    x += end;
    dy += end;
    dx += end;
  }
}

function sumRow(x: usize, whole: usize, end: usize): f32 {
  let sums = splat(0);
  let at: usize = 0;
  for (; at < whole; at += 16) sums = f32x4.add(sums, v128.load(x + at));
  let sum = sumLanes(sums);
  for (; at < end; at += 4) sum += load<f32>(x + at);
  return sum;
}

function sumSquaredDistance(x: usize, mean: f32, whole: usize, end: usize): f32 {
  const means = splat(mean);
  let sums = splat(0);
  let at: usize = 0;
  for (; at < whole; at += 16) {
    const distance = f32x4.sub(v128.load(x + at), means);
    sums = multiplyAdd(distance, distance, sums);
  }
  let sum = sumLanes(sums);
  for (; at < end; at += 4) {
    const distance = load<f32>(x + at) - mean;
    sum += distance * distance;
  }
  return sum;
}
