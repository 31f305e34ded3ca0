import * as tf from '@tensorflow/tfjs';
import type { WebGPUProgram } from '@tensorflow/tfjs-backend-webgpu';
import type { CheckedBackend } from './checked-backend';

/** A computation in WGSL. Inputs are arrays under their names, the output is `result`; indices are flat. */
export interface Shader {
  name: string;
  inputs: readonly string[];
  /** Whole numbers and real ones that the code finds as `uniforms.<name>`. */
  integers?: readonly string[];
  reals?: readonly string[];
  /**
   * For `runElements` what is done for element `i`; for `runRows` what each of the `lanes` threads of row `row` does: thread
   * `lane` takes every lanes-th column, and all of them call `total` and `largest` together.
   */
  code: string;
}

/** The numbers of `integers` and `reals`, in that order. */
type Numbers = readonly number[];

/** The open WebGPU backend. */
export function webgpuBackend(): CheckedBackend {
  return tf.backend() as unknown as CheckedBackend;
}

/** A thread for each element of the result. */
export function runElements<Rank extends tf.Rank>(
  shader: Shader,
  inputs: tf.Tensor[],
  shape: tf.ShapeMap[Rank],
  numbers: Numbers = [],
): tf.Tensor<Rank> {
  const size = tf.util.sizeFromShape(shape);
  return newTensor(elementProgram(shader, shape, size), inputs, [...numbers, size], shader);
}

/** As `runElements`, with the result written over a tensor that nothing else shares, in `size` threads. */
export function runInPlace(
  shader: Shader,
  target: tf.Tensor,
  inputs: tf.Tensor[],
  size: number,
  numbers: Numbers,
): void {
  const backend = webgpuBackend();
  const program = elementProgram(shader, target.shape, size);
  backend.runWebGPUProgram(program, inputs, 'float32', uniformsOf(shader, [...numbers, size]), target);
  // Whoever read the tensor before left its old values here.
  backend.tensorMap.get(target.dataId).values = null as never;
}

/** `lanes` threads for each of `rows` rows, which share sums; a power of 2. */
export function runRows<Rank extends tf.Rank>(
  shader: Shader,
  inputs: tf.Tensor[],
  { rows, lanes, shape }: { rows: number; lanes: number; shape: tf.ShapeMap[Rank] },
  numbers: Numbers = [],
): tf.Tensor<Rank> {
  const main = `
    const lanes = ${lanes};
    var<workgroup> shared_ : array<f32, ${lanes}>;
    ${reduction('total', '+')}
    ${reduction('largest', 'max')}
    fn main(index : i32) {
      // Threads beyond the last row, which a large dispatch has, repeat it: a branch may not hold a barrier.
      let row = min(index / lanes, uniforms.rows - 1);
      let lane = index % lanes;
      ${shader.code}
    }`;
  const perGroup = Math.max(lanes, 64);
  const dispatch = [Math.ceil((rows * lanes) / perGroup), 1, 1];
  const program = {
    ...describe({ ...shader, name: `${shader.name}_${lanes}` }, shape, main),
    workgroupSize: [perGroup, 1, 1],
    dispatch,
  };
  return newTensor(program as WebGPUProgram, inputs, [...numbers, rows], shader);
}

/** Adds or compares the values of all lanes, in an order that depends on nothing but their number. */
function reduction(name: string, operation: '+' | 'max'): string {
  const [a, b] = ['shared_[lane]', 'shared_[lane + half]'];
  return `
    fn ${name}(lane : i32, value : f32) -> f32 {
      if (lanes == 1) { return value; }
      shared_[lane] = value;
      workgroupBarrier();
      for (var half = lanes / 2; half > 0; half = half / 2) {
        if (lane < half) { shared_[lane] = ${operation === '+' ? `${a} + ${b}` : `max(${a}, ${b})`}; }
        workgroupBarrier();
      }
      let all = shared_[0];
      workgroupBarrier();
      return all;
    }`;
}

function elementProgram(shader: Shader, shape: number[], size: number): WebGPUProgram {
  const main = `fn main(i : i32) { if (i < uniforms.rows) { ${shader.code} } }`;
  const dispatch = [Math.ceil(size / 64), 1, 1];
  return { ...describe(shader, shape, main), workgroupSize: [64, 1, 1], dispatch } as WebGPUProgram;
}

/** What TensorFlow.js needs to know of a program; it compiles one pipeline for each key and ranks of tensors. */
function describe({ name, inputs, integers = [], reals = [] }: Shader, shape: number[], main: string) {
  const uniforms = [...integers.map((field) => `${field} : i32,`), ...reals.map((field) => `${field} : f32,`)];
  return {
    variableNames: [...inputs],
    uniforms: `${uniforms.join(' ')} rows : i32,`,
    outputShape: shape,
    dispatchLayout: { x: shape.map((_, axis) => axis) },
    shaderKey: `surefoot_${name}`,
    getUserCode: () => main,
  };
}

/** `numbers` ends with the count of rows or elements. */
function uniformsOf({ integers = [], reals = [] }: Shader, numbers: Numbers) {
  return numbers.map((value, i) => {
    const isReal = i >= integers.length && i < integers.length + reals.length;
    return { type: isReal ? 'float32' : 'int32', data: [value] };
  });
}

function newTensor<Rank extends tf.Rank>(
  program: WebGPUProgram,
  inputs: tf.Tensor[],
  numbers: Numbers,
  shader: Shader,
): tf.Tensor<Rank> {
  const backend = webgpuBackend();
  const info = backend.runWebGPUProgram(program, inputs, 'float32', uniformsOf(shader, numbers));
  return tf.engine().makeTensorFromTensorInfo(info, backend) as tf.Tensor<Rank>;
}
