import * as tf from '@tensorflow/tfjs';

/** What is used here of the backend's JavaScript. */
interface NativeBackend {
  tensorMap: Storage;
  getNumOfTFTensors(): number;
}

interface Storage {
  /** `id` is the binding's, below 0 while the values have not been needed there. */
  get(dataId: object): { id: number };
  set(dataId: object, values: { id: number }): void;
  delete(dataId: object): boolean;
}

/** The data of all tensors, of each backend that is watched. */
const watched = new WeakMap<NativeBackend, Set<object>>();

/** Follows which tensors the open backend has, which it cannot list; from its opening on, for `countLooseValues`. */
export function watchValues(): Set<object> {
  const backend = tf.backend() as unknown as NativeBackend;
  const known = watched.get(backend) ?? new Set();
  if (watched.has(backend)) return known;
  watched.set(backend, known);
  const { tensorMap } = backend;
  const [set, remove] = [tensorMap.set.bind(tensorMap), tensorMap.delete.bind(tensorMap)];
  tensorMap.set = (dataId, values) => {
    known.add(dataId);
    set(dataId, values);
  };
  tensorMap.delete = (dataId) => {
    known.delete(dataId);
    return remove(dataId);
  };
  return known;
}

/** Values in the binding that belong to no tensor, such as resources; only for tests, which watch for what a kernel forgets. */
export function countLooseValues(): number {
  const known = watchValues();
  const { tensorMap, getNumOfTFTensors } = tf.backend() as unknown as NativeBackend;
  const owned = [...known].filter((dataId) => tensorMap.get(dataId).id >= 0).length;
  return getNumOfTFTensors.call(tf.backend()) - owned;
}
