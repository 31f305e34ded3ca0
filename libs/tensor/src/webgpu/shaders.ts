import type { Shader } from './shader';

/** Works on rows of `uniforms.width` columns. */
export type RowShader = Shader & { integers: readonly ['width'] };

const rows = { integers: ['width'] } as const;

/** The columns of a row, one lane after the other. */
const columns = 'var j = lane; j < uniforms.width; j += lanes';
const ownRow = 'let start = row * uniforms.width;';

/**
 * `top`: the largest of the row; `log_sum`: log of the sum of exp(x - top). A NaN is handed on by hand: WGSL need not, and
 * SwiftShader's exp makes a number of it.
 */
const logSum = `
  ${ownRow}
  var own_top = -3.402823e+38f;
  for (${columns}) { own_top = max(own_top, x[start + j]); }
  let top = largest(lane, own_top);
  var own_sum = 0.0;
  for (${columns}) { own_sum += select(exp(x[start + j] - top), uniforms.NAN, isnan(x[start + j])); }
  let sum = total(lane, own_sum);
  let log_sum = select(log(sum), uniforms.NAN, isnan(sum));`;

export const softmax: RowShader = {
  ...rows,
  name: 'softmax',
  inputs: ['x'],
  code: `${logSum} for (${columns}) { result[start + j] = exp(x[start + j] - top) / sum; }`,
};

export const logSoftmax: RowShader = {
  ...rows,
  name: 'logSoftmax',
  inputs: ['x'],
  code: `${logSum} for (${columns}) { result[start + j] = x[start + j] - top - log_sum; }`,
};

export const logProbability: RowShader = {
  ...rows,
  name: 'logProbability',
  inputs: ['x', 'ids'],
  code: `${logSum} if (lane == 0) { result[row] = x[start + ids[row]] - top - log_sum; }`,
};

/** dx = dy (chosen - p) */
export const logProbabilityGradient: RowShader = {
  ...rows,
  name: 'logProbabilityGradient',
  inputs: ['x', 'ids', 'dy'],
  code: `${logSum}
    for (${columns}) {
      let chosen = select(0.0, 1.0, j == ids[row]);
      result[start + j] = dy[row] * (chosen - exp(x[start + j] - top) / sum);
    }`,
};

/** `entropy`: -sum p log p, with log p = x - top - log_sum. */
const rowEntropy = `${logSum}
  var own_part = 0.0;
  for (${columns}) {
    let centred = x[start + j] - top;
    own_part += exp(centred) * (log_sum - centred);
  }
  let entropy = total(lane, own_part) / sum;`;

export const entropy: RowShader = {
  ...rows,
  name: 'entropy',
  inputs: ['x'],
  code: `${rowEntropy} if (lane == 0) { result[row] = entropy; }`,
};

/** dx = -dy p (log p + entropy) */
export const entropyGradient: RowShader = {
  ...rows,
  name: 'entropyGradient',
  inputs: ['x', 'dy'],
  code: `${rowEntropy}
    for (${columns}) {
      let centred = x[start + j] - top;
      result[start + j] = -dy[row] * exp(centred) / sum * (centred - log_sum + entropy);
    }`,
};

/** `mean` and `inverse`, 1 / sqrt(variance + epsilon), of the row. */
const rowMoments = `
  ${ownRow}
  let width = f32(uniforms.width);
  var own_sum = 0.0;
  for (${columns}) { own_sum += x[start + j]; }
  let mean = total(lane, own_sum) / width;
  var own_squares = 0.0;
  for (${columns}) { let centred = x[start + j] - mean; own_squares += centred * centred; }
  let inverse = 1.0 / sqrt(total(lane, own_squares) / width + uniforms.epsilon);`;

export const layerNorm: RowShader = {
  ...rows,
  name: 'layerNorm',
  inputs: ['x', 'gain', 'bias'],
  reals: ['epsilon'],
  code: `${rowMoments} for (${columns}) { result[start + j] = (x[start + j] - mean) * inverse * gain[j] + bias[j]; }`,
};

/** dy times the standardised x: what is summed over the rows to the gradient of the gain. */
export const normTimes: RowShader = {
  ...rows,
  name: 'normTimes',
  inputs: ['x', 'dy'],
  reals: ['epsilon'],
  code: `${rowMoments} for (${columns}) { result[start + j] = (x[start + j] - mean) * inverse * dy[start + j]; }`,
};

/** dx = (g - mean(g) - s mean(g s)) inverse, with g = dy gain and s the standardised x */
export const layerNormGradient: RowShader = {
  ...rows,
  name: 'layerNormGradient',
  inputs: ['x', 'gain', 'dy'],
  reals: ['epsilon'],
  code: `${rowMoments}
    var own_g = 0.0;
    var own_gs = 0.0;
    for (${columns}) {
      let g = dy[start + j] * gain[j];
      own_g += g;
      own_gs += g * (x[start + j] - mean) * inverse;
    }
    let mean_g = total(lane, own_g) / width;
    let mean_gs = total(lane, own_gs) / width;
    for (${columns}) {
      let s = (x[start + j] - mean) * inverse;
      result[start + j] = (dy[start + j] * gain[j] - mean_g - s * mean_gs) * inverse;
    }`,
};

/** Sums over `uniforms.count` rows; 64 lanes have 16 columns, four for each of them. */
export const columnSums = {
  columns: 16,
  name: 'columnSums',
  inputs: ['x'],
  integers: ['width', 'count'],
  code: `
    let column = row * 16 + lane % 16;
    var sum = 0.0;
    if (column < uniforms.width) {
      for (var r = lane / 16; r < uniforms.count; r += lanes / 16) { sum += x[r * uniforms.width + column]; }
    }
    shared_[lane] = sum;
    workgroupBarrier();
    if (lane < 16 && column < uniforms.width) {
      var all = 0.0;
      for (var part = lane; part < lanes; part += 16) { all += shared_[part]; }
      result[column] = all;
    }`,
} as const satisfies Shader & { columns: number };

/** Each of as many parts as the result has takes every parts-th element. */
export const sumOfSquares: Shader = {
  name: 'sumOfSquares',
  inputs: ['x'],
  integers: ['count', 'parts'],
  code: `
    var sum = 0.0;
    for (var j = i; j < uniforms.count; j += uniforms.parts) { sum += x[j] * x[j]; }
    result[i] = sum;`,
};

/** x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))); tanh from exp of what is not positive, which cannot overflow. */
const geluParts = `
  let square = x[i] * x[i];
  let inner = 0.7978845608 * x[i] * (1.0 + 0.044715 * square);
  let small = select(exp(-2.0 * abs(inner)), uniforms.NAN, isnan(inner));
  let tanh_ = sign(inner) * (1.0 - small) / (1.0 + small);`;

export const gelu: Shader = {
  name: 'gelu',
  inputs: ['x'],
  code: `${geluParts} result[i] = 0.5 * x[i] * (1.0 + tanh_);`,
};

export const geluGradient: Shader = {
  name: 'geluGradient',
  inputs: ['x', 'dy'],
  code: `${geluParts}
    let slope = 0.7978845608 * (1.0 + 0.134145 * square);
    result[i] = dy[i] * 0.5 * (1.0 + tanh_ + x[i] * (1.0 - tanh_ * tanh_) * slope);`,
};

export const addAt: Shader = {
  name: 'addAt',
  inputs: ['x', 'ids', 'values'],
  integers: ['width'],
  code: `
    let row = i / uniforms.width;
    result[i] = x[i] + select(0.0, values[row], i - row * uniforms.width == ids[row]);`,
};

/** Sums the rows of dy with an id in the order they stand in; TensorFlow.js adds them atomically, in any order. */
export const scatterRows: Shader = {
  name: 'scatterRows',
  inputs: ['dy', 'starts', 'order'],
  integers: ['width'],
  code: `
    let id = i / uniforms.width;
    let column = i - id * uniforms.width;
    var sum = 0.0;
    for (var k = starts[id]; k < starts[id + 1]; k += 1) { sum += dy[order[k] * uniforms.width + column]; }
    result[i] = sum;`,
};

export const replaceRows: Shader = {
  name: 'replaceRows',
  inputs: ['rows_', 'ids'],
  integers: ['width'],
  code: `
    let row = i / uniforms.width;
    result[ids[row] * uniforms.width + i - row * uniforms.width] = rows_[i];`,
};

export const movingMean: Shader = {
  name: 'movingMean',
  inputs: ['gradient'],
  reals: ['beta', 'share'],
  code: 'result[i] = result[i] * uniforms.beta + gradient[i] * uniforms.share;',
};

export const movingSquare: Shader = {
  name: 'movingSquare',
  inputs: ['gradient'],
  reals: ['beta', 'share'],
  code: 'result[i] = result[i] * uniforms.beta + gradient[i] * gradient[i] * uniforms.share;',
};

export const adamw: Shader = {
  name: 'adamw',
  inputs: ['m', 'v'],
  reals: ['rate', 'decay', 'root_scale', 'epsilon'],
  code: `
    let update = uniforms.rate * m[i] / (sqrt(v[i]) * uniforms.root_scale + uniforms.epsilon);
    result[i] = result[i] * uniforms.decay - update;`,
};
