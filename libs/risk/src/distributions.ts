import { incompleteBeta, incompleteGamma } from './special-functions';

/** P(Z <= x) of a standard normal variable. */
export function normalCdf(x: number): number {
  const { lower, upper } = incompleteGamma(0.5, (x * x) / 2);
  return x < 0 ? upper / 2 : (1 + lower) / 2;
}

/** The x with `normalCdf(x) = p`, p in (0, 1). */
export function normalQuantile(p: number): number {
  // Both halves are solved below zero, where the probability has no rounding of 1.
  return p > 0.5 ? -normalQuantile(1 - p) : -solve((x) => -normalCdf(-x), -p);
}

/** P(X > f) of an F variable with `d1` and `d2` degrees of freedom, f >= 0. */
export function fSurvival(f: number, d1: number, d2: number): number {
  return incompleteBeta(d2 / (d2 + d1 * f), d2 / 2, d1 / 2);
}

/** P(|T| > |t|) of Student's t with `df` degrees of freedom. */
export function studentTwoSided(t: number, df: number): number {
  return incompleteBeta(df / (df + t * t), df / 2, 0.5);
}

/** The t with P(T <= t) = p of Student's t with `df` degrees of freedom, p in (0, 1). */
export function studentQuantile(p: number, df: number): number {
  return p > 0.5 ? -studentQuantile(1 - p, df) : -solve((t) => -studentTwoSided(t, df) / 2, -p);
}

/** The x with P(X <= x) = p of chi-square with `df` degrees of freedom, p in (0, 1). */
export function chiSquareQuantile(p: number, df: number): number {
  return solve((x) => incompleteGamma(df / 2, x / 2).lower, p);
}

/** The x with P(X <= x) = p of Beta(a, b), p in (0, 1). */
export function betaQuantile(p: number, a: number, b: number): number {
  return solve((x) => incompleteBeta(x, a, b), p);
}

/** The x >= 0 at which an increasing function reaches `target`, to the last bit that bisection can tell apart. */
function solve(increasing: (x: number) => number, target: number): number {
  let low = 0;
  let high = 1;
  while (increasing(high) < target) {
    low = high;
    high *= 2;
  }
  for (;;) {
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) return middle;
    if (increasing(middle) < target) low = middle;
    else high = middle;
  }
}
