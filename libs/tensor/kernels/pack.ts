// Rearranges blocks of a matrix into panels, so that the product reads memory in order and one kernel serves all layouts.
// A panel holds `width` lanes (rows of A, columns of B) as [depth][width]; missing lanes are zeros.

import { bytes } from './lanes';

/** Lanes lie next to each other: element (lane, k) at source + k * stride + lane. */
export function packAdjacent(source: usize, stride: usize, lanes: i32, depth: i32, target: usize, width: i32): void {
  for (let lane = 0; lane < lanes; lane += width) {
    const present = lanes - lane;
    if (present >= width) copyLanes(source + bytes(lane), stride, depth, target, width);
    else copySomeLanes(source + bytes(lane), stride, 4, present, depth, target, width, width);
    target += bytes(depth * width);
  }
}

/** Depth is contiguous: element (lane, k) at source + lane * stride + k. */
export function packApart(source: usize, stride: usize, lanes: i32, depth: i32, target: usize, width: i32): void {
  for (let lane = 0; lane < lanes; lane += width) {
    // Four lanes at a time, then the two that a width of six leaves.
    for (let part = 0; part < width; part += 4) {
      const wanted = min(4, width - part);
      const present = lanes - lane - part;
      const from = source + <usize>(lane + part) * stride;
      const to = target + bytes(part);
      if (wanted == 4 && present >= 4) transposeFour(from, stride, depth, to, width);
      else if (wanted == 2 && present >= 2) transposeTwo(from, stride, depth, to, width);
      else copySomeLanes(from, 4, stride, present, depth, to, wanted, width);
    }
    target += bytes(depth * width);
  }
}

function copyLanes(source: usize, stride: usize, depth: i32, target: usize, width: i32): void {
  if (width == 8) {
    for (let k = 0; k < depth; k++) {
      v128.store(target, v128.load(source));
      v128.store(target, v128.load(source, 16), 16);
      source += stride;
      target += 32;
    }
  } else if (width == 6) {
    for (let k = 0; k < depth; k++) {
      v128.store(target, v128.load(source));
      store<i64>(target, load<i64>(source, 16), 16);
      source += stride;
      target += 24;
    }
  } else {
    for (let k = 0; k < depth; k++) {
      v128.store(target, v128.load(source));
      source += stride;
      target += 16;
    }
  }
}

/** Lanes `0..present-1` of `lanes`, the others zero. */
function copySomeLanes(
  source: usize,
  depthStride: usize,
  laneStride: usize,
  present: i32,
  depth: i32,
  target: usize,
  lanes: i32,
  width: i32,
): void {
  for (let k = 0; k < depth; k++) {
    for (let lane = 0; lane < lanes; lane++) {
      const value = lane < present ? load<f32>(source + <usize>lane * laneStride) : <f32>0;
      store<f32>(target + bytes(lane), value);
    }
    source += depthStride;
    target += bytes(width);
  }
}

function transposeFour(source: usize, stride: usize, depth: i32, target: usize, width: i32): void {
  const step = bytes(width);
  let s0 = source;
  let s1 = s0 + stride;
  let s2 = s1 + stride;
  let s3 = s2 + stride;
  let k = 0;
  for (; k + 4 <= depth; k += 4) {
    const x0 = v128.load(s0);
    const x1 = v128.load(s1);
    const x2 = v128.load(s2);
    const x3 = v128.load(s3);
    const low01 = i32x4.shuffle(x0, x1, 0, 4, 1, 5);
    const high01 = i32x4.shuffle(x0, x1, 2, 6, 3, 7);
    const low23 = i32x4.shuffle(x2, x3, 0, 4, 1, 5);
    const high23 = i32x4.shuffle(x2, x3, 2, 6, 3, 7);
    v128.store(target, i64x2.shuffle(low01, low23, 0, 2));
    v128.store(target + step, i64x2.shuffle(low01, low23, 1, 3));
    v128.store(target + 2 * step, i64x2.shuffle(high01, high23, 0, 2));
    v128.store(target + 3 * step, i64x2.shuffle(high01, high23, 1, 3));
    s0 += 16;
    s1 += 16;
    s2 += 16;
    s3 += 16;
    target += 4 * step;
  }
  copySomeLanes(s0, 4, stride, 4, depth - k, target, 4, width);
}

function transposeTwo(source: usize, stride: usize, depth: i32, target: usize, width: i32): void {
  const step = bytes(width);
  let s0 = source;
  let s1 = s0 + stride;
  let k = 0;
  for (; k + 4 <= depth; k += 4) {
    const x0 = v128.load(s0);
    const x1 = v128.load(s1);
    const low = i32x4.shuffle(x0, x1, 0, 4, 1, 5);
    const high = i32x4.shuffle(x0, x1, 2, 6, 3, 7);
    v128.store64_lane(target, low, 0);
    v128.store64_lane(target + step, low, 1);
    v128.store64_lane(target + 2 * step, high, 0);
    v128.store64_lane(target + 3 * step, high, 1);
    s0 += 16;
    s1 += 16;
    target += 4 * step;
  }
  copySomeLanes(s0, 4, stride, 2, depth - k, target, 2, width);
}
