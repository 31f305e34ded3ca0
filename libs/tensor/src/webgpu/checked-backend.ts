import type * as tf from '@tensorflow/tfjs';
import { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import { DomainError } from '@surefoot/errors';
import type { OpenedDevice } from './dawn';

/**
 * The WebGPU backend of TensorFlow.js with errors that show.
 *
 * WebGPU reports a failed allocation or a lost device later, and computes with zeros until somebody asks. So whatever was
 * reported stops the next read, and a tensor over the device's limit is refused before it is allocated.
 */
export class CheckedBackend extends WebGPUBackend {
  private failure: DomainError | undefined;

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
    void device.lost.then(({ reason, message }) => {
      if (reason !== 'destroyed') this.failure ??= new DomainError('unavailable', `WebGPU lost the device: ${message}`);
    });
    const acquire = this.bufferManager.acquireBuffer.bind(this.bufferManager);
    this.bufferManager.acquireBuffer = (size, ...how) => {
      if (size > largestTensor) throw tooLarge(size, largestTensor);
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

  override async read(dataId: object): Promise<tf.backend_util.BackendValues> {
    const values = await super.read(dataId);
    if (this.failure) throw this.failure;
    return values;
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
