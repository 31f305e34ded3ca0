import * as tf from '@tensorflow/tfjs';
import { currentKernels } from './backend';
import type { MappedFile } from './kernels';
import { openSafetensors, type FileTensor, type SafetensorsFile } from './safetensors-file';
import { bfloat16Rows, isBfloat16, widened } from './tensorflow/bfloat16';

/** A safetensors file whose tensors are put on the open backend one at a time. */
export interface WeightsFile {
  readonly file: SafetensorsFile;
  /** Whether the backend can hold a tensor as BF16, and then whether without a copy. */
  bfloat16(tensor: FileTensor): { isPossible: boolean; isMapped: boolean };
  /**
   * A tensor, which the caller disposes; several calls at once would each take memory.
   *
   * @param held `bfloat16` only where that is possible: such a tensor is for `linear`, `embedding`, `rowsOf` and `float32Of`
   * alone, and has no gradient
   */
  read(tensor: FileTensor, held: 'float32' | 'bfloat16'): Promise<tf.Tensor>;
  /** Tensors stay. */
  close(): Promise<void>;
}

/** Opens a file of weights for the open backend. @throws DomainError as `openSafetensors` */
export async function openWeights(path: string): Promise<WeightsFile> {
  const file = await openSafetensors(path);
  try {
    return weightsFile(file, currentKernels().mapFile?.(file.descriptor, file.bytes));
  } catch (error) {
    await file.close();
    throw error;
  }
}

function weightsFile(file: SafetensorsFile, mapped: MappedFile | undefined): WeightsFile {
  return {
    file,
    bfloat16(tensor) {
      const isPossible = mapped !== undefined && tensor.dtype === 'BF16' && tensor.bytes > 0;
      return { isPossible, isMapped: isPossible && mapped.isAligned(tensor) };
    },
    read: async (tensor, held) => (mapped ? mapped[held](tensor) : tf.tensor(await file.values(tensor), tensor.shape)),
    async close() {
      mapped?.close();
      await file.close();
    },
  };
}

/** A tensor as float32, whatever it is held as: a new tensor, which may share its values. */
export function float32Of<Tensor extends tf.Tensor>(tensor: Tensor): Tensor {
  return (isBfloat16(tensor) ? widened(tensor) : tensor.clone()) as Tensor;
}

/** Rows `from` to `from + count` of a matrix, held as it is. */
export function rowsOf(matrix: tf.Tensor2D, from: number, count: number): tf.Tensor2D {
  return isBfloat16(matrix) ? bfloat16Rows(matrix, from, count) : tf.slice(matrix, [from, 0], [count, -1]);
}
