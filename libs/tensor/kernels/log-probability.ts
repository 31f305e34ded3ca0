// Log-softmax quantities of rows of logits: nothing of size [M, V] is written but gradients.
// statistics[M][2] keeps a row's largest logit and log sum exp(x - largest) for the gradient. They stay apart: their sum would
// round away what log-probabilities are made of where logits are large.

import { log } from './host';
import { bytes, exp1, exp4, multiplyAdd, splat, sumLanes } from './lanes';
import { maximum } from './softmax';

/** result[M] = log softmax(x)[id] */
export function logProbability(x: usize, ids: usize, result: usize, statistics: usize, M: i32, V: i32): void {
  for (let i = 0; i < M; i++) {
    const top = maximum(x, V);
    const tops = splat(top);
    let sums = splat(0);
    let j = 0;
    for (; j + 4 <= V; j += 4) sums = f32x4.add(sums, exp4(f32x4.sub(v128.load(x + bytes(j)), tops)));
    let sum: f32 = sumLanes(sums);
    for (; j < V; j++) sum += exp1(load<f32>(x + bytes(j)) - top);
    const logSum = <f32>log(<f64>sum);
    const chosen = load<f32>(x + bytes(load<i32>(ids + bytes(i))));
    store<f32>(result + bytes(i), chosen - top - logSum);
    store<f32>(statistics, top);
    store<f32>(statistics, logSum, 4);
    statistics += 8;
    x += bytes(V);
  }
}

/** dx = dy (1[v = id] - p) */
export function logProbabilityGradient(
  x: usize,
  ids: usize,
  statistics: usize,
  dy: usize,
  dx: usize,
  M: i32,
  V: i32,
): void {
  for (let i = 0; i < M; i++) {
    const up = load<f32>(dy + bytes(i));
    const top = load<f32>(statistics);
    const logSum = load<f32>(statistics, 4);
    const tops = splat(top);
    const logSums = splat(logSum);
    const minusUp = splat(-up);
    let j = 0;
    for (; j + 4 <= V; j += 4) {
      const p = exp4(f32x4.sub(f32x4.sub(v128.load(x + bytes(j)), tops), logSums));
      v128.store(dx + bytes(j), f32x4.mul(minusUp, p));
    }
    for (; j < V; j++) store<f32>(dx + bytes(j), -up * exp1(load<f32>(x + bytes(j)) - top - logSum));
    const chosen = dx + bytes(load<i32>(ids + bytes(i)));
    store<f32>(chosen, load<f32>(chosen) + up);
    statistics += 8;
    x += bytes(V);
    dx += bytes(V);
  }
}

/** result[M] = log s - sum e (x - top) / s with e = exp(x - top), s = sum e */
export function entropy(x: usize, result: usize, statistics: usize, M: i32, V: i32): void {
  for (let i = 0; i < M; i++) {
    const top = maximum(x, V);
    const tops = splat(top);
    let sums = splat(0);
    let products = sums;
    let j = 0;
    for (; j + 4 <= V; j += 4) {
      const below = f32x4.sub(v128.load(x + bytes(j)), tops);
      const e = exp4(below);
      sums = f32x4.add(sums, e);
      products = multiplyAdd(e, below, products);
    }
    let sum: f32 = sumLanes(sums);
    let product: f32 = sumLanes(products);
    for (; j < V; j++) {
      const below = load<f32>(x + bytes(j)) - top;
      const e = exp1(below);
      sum += e;
      product += e * below;
    }
    const logSum = <f32>log(<f64>sum);
    store<f32>(result + bytes(i), logSum - product / sum);
    store<f32>(statistics, top);
    store<f32>(statistics, logSum, 4);
    statistics += 8;
    x += bytes(V);
  }
}

/** dx = -dy p (log p + entropy) */
export function entropyGradient(
  x: usize,
  entropies: usize,
  statistics: usize,
  dy: usize,
  dx: usize,
  M: i32,
  V: i32,
): void {
  for (let i = 0; i < M; i++) {
    const minusUp: f32 = -load<f32>(dy + bytes(i));
    const top = load<f32>(statistics);
    const logSum = load<f32>(statistics, 4);
    const entropy = load<f32>(entropies + bytes(i));
    const minusUps = splat(minusUp);
    const tops = splat(top);
    const logSums = splat(logSum);
    const entropyLanes = splat(entropy);
    let j = 0;
    for (; j + 4 <= V; j += 4) {
      const logP = f32x4.sub(f32x4.sub(v128.load(x + bytes(j)), tops), logSums);
      const weight = f32x4.mul(minusUps, exp4(logP));
      v128.store(dx + bytes(j), f32x4.mul(weight, f32x4.add(logP, entropyLanes)));
    }
    for (; j < V; j++) {
      const logP = load<f32>(x + bytes(j)) - top - logSum;
      store<f32>(dx + bytes(j), minusUp * exp1(logP) * (logP + entropy));
    }
    statistics += 8;
    x += bytes(V);
    dx += bytes(V);
  }
}
