import * as tf from '@tensorflow/tfjs';
import { differentiable, isFrozen } from '../differentiable';
import type { AttentionHeads, Kernels } from '../kernels';
import { separateMoments, type Update } from '../moments';
import { plainKernels } from '../plain-kernels';
import type { SimdHeap } from './simd-heap';

/** The kernels of `kernels/`, on the heap of TensorFlow.js' wasm backend, with their gradients. */
export function createSimdKernels(heap: SimdHeap): Kernels {
  const { module, address, output } = heap;

  /** op(a) op(b) + initial; `initialStride` 0 repeats one row. */
  function product(a: tf.Tensor2D, b: tf.Tensor2D, options: ProductOptions = {}): tf.Tensor2D {
    const { transposeA = false, transposeB = false, initial = 0, initialStride = 0 } = options;
    const [rows, depth] = transposeA ? [a.shape[1], a.shape[0]] : a.shape;
    const columns = transposeB ? b.shape[0] : b.shape[1];
    const result = options.result ?? output<tf.Rank.R2>([rows, columns]);
    module.matmul(
      ...[Number(transposeA), Number(transposeB), rows, columns, depth],
      ...[address(a), a.shape[1], address(b), b.shape[1], address(result), columns],
      ...[initial, initialStride],
    );
    return result;
  }

  function sumRows(x: tf.Tensor2D): tf.Tensor1D {
    const sums = output<tf.Rank.R1>([x.shape[1]]);
    module.sumRows(address(x), address(sums), x.shape[0], x.shape[1]);
    return sums;
  }

  /** Where the product starts: at zeros, the bias, the residual, or their sum, which then stands in the result. */
  function startingFrom(bias: tf.Tensor1D | undefined, residual: tf.Tensor2D | undefined): ProductOptions {
    if (!residual) return bias ? { initial: address(bias) } : {};
    const [rows, columns] = residual.shape;
    if (!bias) return { initial: address(residual), initialStride: columns };
    const result = output<tf.Rank.R2>([rows, columns]);
    module.addRow(address(residual), address(bias), address(result), rows, columns);
    return { result, initial: address(result), initialStride: columns };
  }

  function scatterRows(dy: tf.Tensor2D, ids: Int32Array, shape: [number, number]): tf.Tensor2D {
    const gradient = output<tf.Rank.R2>(shape);
    const [at] = heap.workspace(ids.byteLength) as [number];
    heap.write(at, ids);
    module.scatterRows(address(gradient), at, address(dy), ids.length, shape[1], shape[0]);
    return gradient;
  }

  function activation(forward: 'gelu' | 'silu', backward: 'geluGradient' | 'siluGradient') {
    return (x: tf.Tensor2D) =>
      differentiable([x], (save) => {
        save([x]);
        const value = output<tf.Rank.R2>(x.shape);
        module[forward](address(x), address(value), x.size);
        const gradient = (dy: tf.Tensor2D, [x]: tf.Tensor[]) => {
          const dx = output(dy.shape);
          module[backward](address(x as tf.Tensor), address(dy), address(dx), dx.size);
          return [dx];
        };
        return { value, gradient };
      });
  }

  /** Gives a tensor values of its own, so that writing to them changes no clone. */
  function unshare(variable: tf.Variable): void {
    if (heap.shares(variable) > 1) tf.tidy(() => variable.assign(tf.tensor(variable.dataSync(), variable.shape)));
  }

  const updateInPlace: Update = (parameter, first, second, gradient, step) => {
    const { beta1, beta2, rate, decay, rootScale, epsilon } = step;
    const written = [parameter, first, second];
    written.forEach(unshare);
    module.adamw(
      ...[...written, gradient].map(address),
      ...[gradient.size, beta1, 1 - beta1, beta2, 1 - beta2, rate, decay, rootScale, epsilon],
    );
  };

  return {
    linear(x, weight, { bias, residual, transposeWeight = false }) {
      const inputs = [x, weight, bias, residual].filter((tensor) => tensor !== undefined);
      return differentiable(inputs, (save) => {
        // A frozen weight is there as long as its model, and x is needed for the weight's gradient alone.
        if (!isFrozen(weight)) save([x, weight]);
        const value = product(x, weight, { transposeB: transposeWeight, ...startingFrom(bias, residual) });
        const gradient = (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
          const [x, kept = weight] = saved as [tf.Tensor2D, tf.Tensor2D?];
          const gradients: (() => tf.Tensor)[] = [() => product(dy, kept, { transposeB: !transposeWeight })];
          gradients.push(() =>
            transposeWeight ? product(dy, x, { transposeA: true }) : product(x, dy, { transposeA: true }),
          );
          if (bias) gradients.push(() => sumRows(dy));
          if (residual) gradients.push(() => dy.clone());
          return gradients;
        };
        return { value, gradient };
      });
    },

    attention(packed, batch, shape) {
      const [rows, width] = packed.shape;
      const { heads, softCap } = shape;
      const length = rows / batch;
      const numbers = [batch, length, ...numbersOf(shape, length)];
      return differentiable([packed], (save, isRecorded) => {
        const value = output<tf.Rank.R2>([rows, heads * shape.headWidth]);
        if (!isRecorded) {
          const [probabilities] = heap.workspace(4 * length * length) as [number];
          module.attention(address(packed), address(value), probabilities, 0, ...numbers);
          return { value };
        }
        const probabilities = output<tf.Rank.R3>([batch * heads, length, length]);
        module.attention(address(packed), address(value), address(probabilities), 1, ...numbers);
        save([packed, probabilities]);
        const gradient = (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
          const [packed, probabilities] = saved as [tf.Tensor2D, tf.Tensor3D];
          const dpacked = output<tf.Rank.R2>([rows, width]);
          const tanhBytes = softCap === undefined ? 0 : 4 * 32 * length;
          const [scores, tanhs] = heap.workspace(4 * length * length, tanhBytes) as [number, number];
          const inputs = [address(packed), address(probabilities), address(dy)];
          module.attentionGradient(...inputs, address(dpacked), scores, tanhs, ...numbers);
          return [dpacked];
        };
        return { value, gradient };
      });
    },

    cachedAttention(packed, cache, starts, shape) {
      const { batch, capacity } = cache;
      const rows = packed.shape[0];
      const value = output<tf.Rank.R2>([rows, shape.heads * shape.headWidth]);
      const [startsAt, weights] = heap.workspace(starts.byteLength, 4 * capacity) as [number, number];
      heap.write(startsAt, starts);
      module.cachedAttention(
        ...[address(packed), address(cache.keys), address(cache.values), startsAt, weights, address(value)],
        ...[batch, rows / batch, capacity, ...numbersOf(shape, capacity)],
      );
      return value;
    },

    growCache: plainKernels.growCache,

    rotate(packed, { cosines, sines }, rotated) {
      const [rows, width] = packed.shape;
      const half = cosines.shape[1];
      const turn = (x: tf.Tensor2D, angles: tf.Tensor[], direction: 1 | -1) => {
        const turned = output<tf.Rank.R2>([rows, width]);
        module.rotate(...[x, ...angles, turned].map(address), rows, width, half, rotated, direction);
        return turned;
      };
      return differentiable([packed], (save) => {
        save([cosines, sines]);
        const gradient = (dy: tf.Tensor2D, angles: tf.Tensor[]) => [turn(dy, angles, -1)];
        return { value: turn(packed, [cosines, sines], 1), gradient };
      });
    },

    rmsNorm(x, gain, epsilon, gainOffset) {
      const [rows, width] = x.shape;
      return differentiable([x, gain], (save) => {
        const value = output<tf.Rank.R2>([rows, width]);
        const inverses = output<tf.Rank.R1>([rows]);
        module.rmsNorm(...[x, gain, value, inverses].map(address), rows, width, epsilon, gainOffset);
        save([x, gain, inverses]);
        const gradient = (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
          const [x, kept, inverses] = saved as [tf.Tensor2D, tf.Tensor1D, tf.Tensor1D];
          const dx = output(x.shape);
          const dgain = isFrozen(gain) ? undefined : output(gain.shape);
          const inputs = [x, kept, dy, inverses, dx].map(address);
          module.rmsNormGradient(...inputs, dgain ? address(dgain) : 0, rows, width, gainOffset);
          return dgain ? [dx, dgain] : [dx];
        };
        return { value, gradient };
      });
    },

    silu: activation('silu', 'siluGradient'),
    gelu: activation('gelu', 'geluGradient'),

    layerNorm(x, gain, bias, epsilon) {
      const [rows, width] = x.shape;
      return differentiable([x, gain, bias], (save) => {
        const value = output<tf.Rank.R2>([rows, width]);
        const statistics = output<tf.Rank.R2>([rows, 2]);
        const inputs = [address(x), address(gain), address(bias)];
        module.layerNorm(...inputs, address(value), address(statistics), rows, width, epsilon);
        save([x, gain, statistics]);
        const gradient = (dy: tf.Tensor2D, saved: tf.Tensor[]) => {
          const [x, gain, statistics] = saved as [tf.Tensor2D, tf.Tensor1D, tf.Tensor2D];
          const gradients = [output(x.shape), output(gain.shape), output(gain.shape)];
          const inputs = [address(x), address(gain), address(dy), address(statistics)];
          module.layerNormGradient(...inputs, ...gradients.map(address), rows, width);
          return gradients;
        };
        return { value, gradient };
      });
    },

    logProbability(logits, ids) {
      const [rows, size] = logits.shape;
      const place = () => {
        const [at] = heap.workspace(ids.byteLength) as [number];
        heap.write(at, ids);
        return at;
      };
      return differentiable([logits], (save) => {
        const value = output<tf.Rank.R1>([rows]);
        const statistics = output<tf.Rank.R2>([rows, 2]);
        module.logProbability(address(logits), place(), address(value), address(statistics), rows, size);
        save([logits, statistics]);
        const gradient = (dy: tf.Tensor1D, saved: tf.Tensor[]) => {
          const [logits, statistics] = saved as [tf.Tensor2D, tf.Tensor2D];
          const dx = output<tf.Rank.R2>([rows, size]);
          const inputs = [address(logits), place(), address(statistics), address(dy)];
          module.logProbabilityGradient(...inputs, address(dx), rows, size);
          return [dx];
        };
        return { value, gradient };
      });
    },

    entropy(logits) {
      const [rows, size] = logits.shape;
      return differentiable([logits], (save) => {
        const value = output<tf.Rank.R1>([rows]);
        const statistics = output<tf.Rank.R2>([rows, 2]);
        module.entropy(address(logits), address(value), address(statistics), rows, size);
        save([logits, value, statistics]);
        const gradient = (dy: tf.Tensor1D, saved: tf.Tensor[]) => {
          const dx = output<tf.Rank.R2>([rows, size]);
          module.entropyGradient(...saved.map(address), address(dy), address(dx), rows, size);
          return [dx];
        };
        return { value, gradient };
      });
    },

    embedding(table, ids, positions) {
      const inputs = positions ? [table, positions.table] : [table];
      return differentiable(inputs, () => {
        const width = table.shape[1];
        const value = output<tf.Rank.R2>([ids.length, width]);
        const [at, positionsAt] = heap.workspace(ids.byteLength, ids.byteLength) as [number, number];
        heap.write(at, ids);
        module.gatherRows(address(table), at, address(value), ids.length, width);
        if (positions) {
          heap.write(positionsAt, positions.ids);
          module.addGatheredRows(address(positions.table), positionsAt, address(value), ids.length, width);
        }
        const gradient = (dy: tf.Tensor2D) => {
          const gradients = [() => scatterRows(dy, ids, table.shape)];
          if (positions) gradients.push(() => scatterRows(dy, positions.ids, positions.table.shape));
          return gradients;
        };
        return { value, gradient };
      });
    },

    sumOfSquares(tensors) {
      return Promise.resolve(
        tensors.reduce((sum, tensor) => sum + module.sumOfSquares(address(tensor), tensor.size), 0),
      );
    },

    adamw: (parameters) => separateMoments(parameters, updateInPlace),
  };
}

/** What the attention kernels are told of heads: how many, how wide, and scale, cap (0: none) and window (all of `span`: none). */
function numbersOf({ heads, keyHeads, headWidth, scale, softCap, window }: AttentionHeads, span: number): number[] {
  // The usual scale as it is rounded in float32 at every step, whose bits trained models have.
  const usual = Math.fround(1 / Math.fround(Math.sqrt(headWidth)));
  const rounded = scale === 1 / Math.sqrt(headWidth) ? usual : scale;
  return [heads, keyHeads, headWidth, rounded, softCap ?? 0, Math.min(window ?? span, span)];
}

interface ProductOptions {
  transposeA?: boolean;
  transposeB?: boolean;
  /** Address of the values to start from; 0: zeros. */
  initial?: number;
  /** Floats between their rows. */
  initialStride?: number;
  /** Where to write; default a new tensor. */
  result?: tf.Tensor2D;
}
