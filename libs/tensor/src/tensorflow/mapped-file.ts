import * as tf from '@tensorflow/tfjs';
import type { MappedFile } from '../kernels';
import type { FileTensor } from '../safetensors-file';
import { bfloat16Number, bfloat16Tensor } from './bfloat16';
import {
  execute,
  floatType,
  intType,
  nativeBackend,
  shapeAttribute,
  stringAttribute,
  tensorOf,
  typeAttribute,
} from './raw-ops';
import { temporaries, type Temporaries } from './temporaries';

const halfNumber = 19;
const alignment = 64;

/**
 * Maps a file into memory, read only. What shares its values keeps the mapping; it goes with the last of them.
 *
 * The file must not become shorter while it is mapped, which would end the process. Ours are replaced as a whole.
 *
 * @param descriptor of the open file; not its path, where another file may be by now
 */
export function mapFile(descriptor: number, bytes: number): MappedFile | undefined {
  const { binding, isUsingGpuDevice } = nativeBackend();
  // Values that are on the CPU would be copied to the GPU by every operation.
  if (isUsingGpuDevice) return undefined;
  const numberOf = { F32: binding.TF_FLOAT, F16: halfNumber, BF16: bfloat16Number };
  const bytesType = (name: string) => typeAttribute(name, binding.TF_UINT8);
  const place = stringAttribute('memory_region_name', `/proc/self/fd/${descriptor}`);
  const region = [bytesType('dtype'), shapeAttribute('shape', [bytes]), place];
  let shared: number | undefined;

  /** The values of a tensor as the file has them. */
  function view({ ints, longs, run }: Temporaries, file: number, { begin, bytes, shape, dtype }: FileTensor): number {
    const index = typeAttribute('Index', binding.TF_INT64);
    const slice = run('Slice', [file, longs([begin]), longs([bytes])], [bytesType('T'), index]);
    const perNumber = dtype === 'F32' ? 4 : 2;
    const shaped = run('Reshape', [slice, ints([...shape, perNumber])], [bytesType('T'), intType('Tshape')]);
    return run('Bitcast', [shaped], [bytesType('T'), typeAttribute('type', numberOf[dtype])]);
  }

  const isAligned = ({ begin, bytes }: FileTensor) => begin % alignment === 0 && bytes % alignment === 0;
  return {
    isAligned,
    float32(tensor) {
      if (tensor.bytes === 0) return tf.zeros(tensor.shape);
      const id = temporaries((scratch) => {
        // A mapping of its own: the pages that were read leave the process with it.
        const values = view(scratch, scratch.run('ImmutableConst', [], region), tensor);
        // Memory of its own: a variable may be written.
        if (tensor.dtype === 'F32') return scratch.run('DeepCopy', [values], [floatType('T')]);
        return scratch.run('Cast', [values], [typeAttribute('SrcT', numberOf[tensor.dtype]), floatType('DstT')]);
      });
      return tensorOf(id, tensor.shape);
    },
    bfloat16(tensor) {
      shared ??= execute('ImmutableConst', [], region, 1)[0]!;
      const file = shared;
      const id = temporaries((scratch) => view(scratch, file, tensor));
      return bfloat16Tensor(id, tensor.shape, isAligned(tensor) ? 0 : tensor.bytes);
    },
    close() {
      if (shared !== undefined) binding.deleteTensor(shared);
      shared = undefined;
    },
  };
}
