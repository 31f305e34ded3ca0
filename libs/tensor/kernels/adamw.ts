import { multiplyAdd, splat } from './lanes';

/**
 * m = beta1 m + rest1 g, v = beta2 v + rest2 g^2, p = p decay - rate m / (sqrt(v) rootScale + epsilon), in place.
 *
 * @param rest1, rest2 1 - beta, rounded from float64: 1 - 0.999 in float32 is off by 1e-5 of itself
 */
export function adamw(
  p: usize,
  m: usize,
  v: usize,
  g: usize,
  n: i32,
  beta1: f32,
  rest1: f32,
  beta2: f32,
  rest2: f32,
  rate: f32,
  decay: f32,
  rootScale: f32,
  epsilon: f32,
): void {
  const beta1s = splat(beta1);
  const rest1s = splat(rest1);
  const beta2s = splat(beta2);
  const rest2s = splat(rest2);
  const rates = splat(rate);
  const decays = splat(decay);
  const rootScales = splat(rootScale);
  const epsilons = splat(epsilon);
  // The last 1 to 3 elements go through the first lane, by the same operations.
  for (; n > 0; n -= 4) {
    const whole = n >= 4;
    const gradient = whole ? v128.load(g) : v128.load32_zero(g);
    const oldM = whole ? v128.load(m) : v128.load32_zero(m);
    const oldV = whole ? v128.load(v) : v128.load32_zero(v);
    const oldP = whole ? v128.load(p) : v128.load32_zero(p);
    const newM = multiplyAdd(beta1s, oldM, f32x4.mul(rest1s, gradient));
    const newV = multiplyAdd(beta2s, oldV, f32x4.mul(rest2s, f32x4.mul(gradient, gradient)));
    const root = multiplyAdd(f32x4.sqrt(newV), rootScales, epsilons);
    const newP = f32x4.sub(f32x4.mul(oldP, decays), f32x4.div(f32x4.mul(rates, newM), root));
    if (whole) {
      v128.store(m, newM);
      v128.store(v, newV);
      v128.store(p, newP);
      m += 16;
      v += 16;
      p += 16;
      g += 16;
    } else {
      v128.store32_lane(m, newM, 0);
      v128.store32_lane(v, newV, 0);
      v128.store32_lane(p, newP, 0);
      m += 4;
      v += 4;
      p += 4;
      g += 4;
      n += 3;
    }
  }
}
