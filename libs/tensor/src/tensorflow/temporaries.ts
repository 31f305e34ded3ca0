import { execute, nativeBackend, type Attribute } from './raw-ops';

/** Operations on values by their ids in the binding, of any type. */
export interface Temporaries {
  /** An int32 vector, or a scalar. */
  ints(values: ArrayLike<number> | number): number;
  /** An int64 vector of whole numbers that are not negative. */
  longs(values: number[]): number;
  /** An operation with one output. */
  run(name: string, inputs: number[], attributes: Attribute[]): number;
  /** Frees what an operation gave before the end. */
  drop(id: number): void;
}

/**
 * A chain of operations whose types `chain` does not know. Everything made on the way is freed.
 *
 * @returns the id that `compute` gives, which the caller owns
 */
export function temporaries(compute: (temporaries: Temporaries) => number): number {
  const { binding } = nativeBackend();
  const made = new Set<number>();
  const own = (id: number) => {
    made.add(id);
    return id;
  };
  try {
    const result = compute({
      ints: (values) => {
        const list = typeof values === 'number' ? [values] : values;
        const shape = typeof values === 'number' ? [] : [list.length];
        return own(binding.createTensor(shape, binding.TF_INT32, Int32Array.from(list)));
      },
      // The binding takes each as two halves, the lower first.
      longs: (values) => {
        const halves = values.flatMap((value) => [(value % 2 ** 32) | 0, Math.floor(value / 2 ** 32)]);
        return own(binding.createTensor([values.length], binding.TF_INT64, Int32Array.from(halves)));
      },
      run: (name, inputs, attributes) => own(execute(name, inputs, attributes, 1)[0]!),
      drop(id) {
        if (made.delete(id)) binding.deleteTensor(id);
      },
    });
    made.delete(result);
    return result;
  } finally {
    for (const id of made) binding.deleteTensor(id);
  }
}
