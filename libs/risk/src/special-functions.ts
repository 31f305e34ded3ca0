const lanczos = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
];
const maxTerms = 10_000;
const tiny = 1e-300;

/** `ln Gamma(x)`, x > 0. Source: Lanczos' series with Godfrey's coefficients (g = 7, nine terms). */
export function logGamma(x: number): number {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
  const shifted = x - 1;
  const t = shifted + 7.5;
  const series = lanczos.reduce(
    (sum, coefficient, i) => (i === 0 ? coefficient : sum + coefficient / (shifted + i)),
    0,
  );
  return 0.5 * Math.log(2 * Math.PI) + (shifted + 0.5) * Math.log(t) - t + Math.log(series);
}

/**
 * Regularised incomplete beta function `I_x(a, b)`: the probability that a Beta(a, b) variable is below x.
 *
 * @param x in [0, 1]
 * @param a, b > 0
 *
 * Source: NIST DLMF 8.17.22 (continued fraction), evaluated by Lentz's method.
 */
export function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
  // The fraction converges fast only on this side of the mean; the other side is the complement.
  return x < (a + 1) / (a + b + 2) ? (front * betaFraction(x, a, b)) / a : 1 - (front * betaFraction(1 - x, b, a)) / b;
}

function betaFraction(x: number, a: number, b: number): number {
  const numerator = (i: number) => {
    const m = Math.floor(i / 2);
    return i % 2 === 0
      ? (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m))
      : (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
  };
  return 1 / lentz(1, (i) => [numerator(i), 1]);
}

/**
 * Regularised incomplete gamma functions: `lower` = P(a, x), `upper` = Q(a, x) = 1 - P(a, x), the smaller one without
 * cancellation.
 *
 * @param a > 0
 * @param x >= 0
 *
 * Source: NIST DLMF 8.7.1 (series) and 8.9.2 (continued fraction).
 */
export function incompleteGamma(a: number, x: number): { lower: number; upper: number } {
  if (x <= 0) return { lower: 0, upper: 1 };
  const front = Math.exp(a * Math.log(x) - x - logGamma(a));
  if (x < a + 1) {
    const lower = front * gammaSeries(a, x);
    return { lower, upper: 1 - lower };
  }
  const upper = front / lentz(x + 1 - a, (i) => [-i * (i - a), x + 2 * i + 1 - a]);
  return { lower: 1 - upper, upper };
}

function gammaSeries(a: number, x: number): number {
  let term = 1 / a;
  let sum = term;
  for (let i = 1; i <= maxTerms && term > sum * Number.EPSILON; i++) {
    term *= x / (a + i);
    sum += term;
  }
  return sum;
}

/** `b0 + n1 / (d1 + n2 / (d2 + …))` by Lentz's method; `part(i)` gives `[n_i, d_i]`. */
function lentz(b0: number, part: (i: number) => [number, number]): number {
  const awayFromZero = (value: number) => (Math.abs(value) < tiny ? tiny : value);
  let value = awayFromZero(b0);
  let c = value;
  let d = 0;
  for (let i = 1; i <= maxTerms; i++) {
    const [numerator, denominator] = part(i);
    d = 1 / awayFromZero(denominator + numerator * d);
    c = awayFromZero(denominator + numerator / c);
    value *= c * d;
    if (Math.abs(c * d - 1) < 1e-15) break;
  }
  return value;
}
