import type * as tf from '@tensorflow/tfjs';
import { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import { DomainError } from '@surefoot/errors';
import type { OpenedDevice } from './dawn';

/**
 * The WebGPU backend of TensorFlow.js with errors that show.
 *
 * WebGPU reports a failed allocation or a lost device later, and computes with zeros until somebody asks. So whatever was
 * reported stops the next read, a lost device every one, and a tensor over the device's limit is refused before it is allocated. Buffers that were kept
 * for tensors of the same size are freed where they are more than the ones in use: shapes differ from batch to batch, and
 * TensorFlow.js would keep them for ever.
 */
export class CheckedBackend extends WebGPUBackend {
  /** Reported since the last read. */
  private failure: DomainError | undefined;
  private loss: DomainError | undefined;

  private constructor(
    { device, adapterInfo }: OpenedDevice,
    /** Bytes that one tensor may have: it is one buffer, bound as a whole. */
    readonly largestTensor: number,
  ) {
    super(device, adapterInfo);
    device.onuncapturederror = ({ error }) => {
      const isMemory = error.constructor.name === 'GPUOutOfMemoryError';
      this.failure ??= new DomainError(isMemory ? 'resource_exhausted' : 'unavailable', `WebGPU: ${error.message}`);
    };
    void device.lost.then(({ message }) => {
      const cure = "its tensors are gone; openBackend('webgpu') opens a new device";
      this.loss = new DomainError('unavailable', `WebGPU lost the device: ${message.trim()}: ${cure}`);
    });
    const pool = this.bufferManager as unknown as Pool;
    const acquire = pool.acquireBuffer.bind(pool);
    pool.acquireBuffer = (size, ...how) => {
      if (size > largestTensor) throw tooLarge(size, largestTensor);
      const kept = pool.numBytesAllocated - pool.numBytesUsed;
      if (kept > Math.max(keptBytes, pool.numBytesUsed)) freeKept(pool);
      return acquire(size, ...how);
    };
  }

  /** @param largestTensor default what the device allows */
  static on(opened: OpenedDevice, largestTensor = tensorLimit(opened.device.limits)): CheckedBackend {
    const hide = showGpu(opened.gpu);
    try {
      return new CheckedBackend(opened, largestTensor);
    } finally {
      hide();
    }
  }

  /** Whether the device is gone, and with it every tensor on it. */
  get isLost(): boolean {
    return this.loss !== undefined;
  }

  override readSync(dataId: object): tf.backend_util.BackendValues {
    if (this.loss) throw this.loss;
    const { values } = this.tensorMap.get(dataId);
    if (!values) throw new Error('backend webgpu reads asynchronously only: await tensor.data()');
    return values;
  }

  override async read(dataId: object): Promise<tf.backend_util.BackendValues> {
    if (this.loss) throw this.loss;
    let values: tf.backend_util.BackendValues | undefined;
    let problem: unknown;
    try {
      values = await super.read(dataId);
    } catch (error) {
      problem = error;
    }
    problem = this.loss ?? this.failure ?? problem;
    this.failure = undefined;
    if (problem) throw problem;
    return values!;
  }
}

/** The backend's buffers, of which its typings show a part. */
interface Pool {
  acquireBuffer(size: number, usage: number, mappedAtCreation?: boolean, reuse?: boolean): GPUBuffer;
  /** By size and use. */
  freeBuffers: Map<string, GPUBuffer[]>;
  numFreeBuffers: number;
  numBytesUsed: number;
  numBytesAllocated: number;
}

/** Bytes of unused buffers that are always kept. */
const keptBytes = 2 ** 28;

/** No command that waits uses them: the backend hands buffers back after it has submitted what does. */
function freeKept(pool: Pool): void {
  for (const buffers of pool.freeBuffers.values())
    for (const buffer of buffers.splice(0)) {
      pool.numBytesAllocated -= buffer.size;
      pool.numFreeBuffers -= 1;
      buffer.destroy();
    }
}

function tensorLimit({ maxBufferSize, maxStorageBufferBindingSize }: GPUSupportedLimits): number {
  return Math.min(maxBufferSize, maxStorageBufferBindingSize);
}

function tooLarge(size: number, limit: number): DomainError {
  return new DomainError(
    'resource_exhausted',
    `a tensor of ${size} bytes does not fit in one buffer of this WebGPU device, which has ${limit} at most: use smaller ` +
      'batches, shorter sequences, a smaller vocabulary or backend tensorflow',
  );
}

/**
 * The backend's constructor insists on `navigator.gpu`; Node has no `navigator` before 21 and no `gpu` in it. It is taken away
 * again, since Dawn keeps a process alive that holds on to it.
 */
function showGpu(gpu: GPU): () => void {
  const scope = globalThis as { navigator?: { gpu?: GPU } };
  const hadNavigator = scope.navigator !== undefined;
  if (!hadNavigator) Object.defineProperty(scope, 'navigator', { value: {}, configurable: true });
  Object.defineProperty(scope.navigator, 'gpu', { value: gpu, configurable: true });
  return () => (hadNavigator ? delete scope.navigator!.gpu : delete scope.navigator);
}
