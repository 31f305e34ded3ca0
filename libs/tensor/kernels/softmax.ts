import { bytes, exp1, exp4, maxLanes, multiplyAdd, splat, sumLanes, tanh1, tanh4 } from './lanes';

/** The largest of n floats. NaN is passed over: it returns by way of the exponentials. */
export function maximum(x: usize, n: i32): f32 {
  let largest = splat(-Infinity);
  let i = 0;
  for (; i + 4 <= n; i += 4) largest = f32x4.pmax(largest, v128.load(x + bytes(i)));
  let result = maxLanes(largest);
  for (; i < n; i++) {
    const value = load<f32>(x + bytes(i));
    if (value > result) result = value;
  }
  return result;
}

/** p[0..n) = softmax(scale p[0..n)) in place for scale > 0, p[n..end) = 0 */
export function softmaxPrefix(p: usize, n: i32, end: i32, scale: f32): void {
  const top = maximum(p, n) * scale;
  const scales = splat(scale);
  const minusTop = splat(-top);
  let sums = splat(0);
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const e = exp4(multiplyAdd(v128.load(p + bytes(i)), scales, minusTop));
    v128.store(p + bytes(i), e);
    sums = f32x4.add(sums, e);
  }
  let sum: f32 = 0;
  for (; i < n; i++) {
    const e = exp1(load<f32>(p + bytes(i)) * scale - top);
    store<f32>(p + bytes(i), e);
    sum += e;
  }
  const share: f32 = 1 / (sumLanes(sums) + sum);
  const shares = splat(share);
  for (i = 0; i + 4 <= n; i += 4) v128.store(p + bytes(i), f32x4.mul(v128.load(p + bytes(i)), shares));
  for (; i < n; i++) store<f32>(p + bytes(i), load<f32>(p + bytes(i)) * share);
  memory.fill(p + bytes(n), 0, bytes(end - n));
}

/** s = cap tanh(factor s), n elements in place */
export function capScores(s: usize, n: i32, factor: f32, cap: f32): void {
  const factors = splat(factor);
  const caps = splat(cap);
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const at = s + bytes(i);
    v128.store(at, f32x4.mul(caps, tanh4(f32x4.mul(v128.load(at), factors))));
  }
  for (; i < n; i++) {
    const at = s + bytes(i);
    store<f32>(at, cap * tanh1(load<f32>(at) * factor));
  }
}

/** ds = ds (1 - tanh(factor s)^2), n elements */
export function capSlopes(s: usize, ds: usize, n: i32, factor: f32): void {
  const factors = splat(factor);
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const tanh = tanh4(f32x4.mul(v128.load(s + bytes(i)), factors));
    const at = ds + bytes(i);
    v128.store(at, f32x4.mul(v128.load(at), f32x4.sub(splat(1), f32x4.mul(tanh, tanh))));
  }
  for (; i < n; i++) {
    const tanh = tanh1(load<f32>(s + bytes(i)) * factor);
    const at = ds + bytes(i);
    store<f32>(at, load<f32>(at) * (1 - tanh * tanh));
  }
}
