import * as tf from '@tensorflow/tfjs';
import { DomainError } from '@surefoot/errors';
import type { BackendOptions, Opened } from '../opened';
import { plainKernels } from '../plain-kernels';
import { systemMemoryFor } from '../system-memory';
import { graphicsCard } from '../tensorflow/graphics-card';
import type { CheckedBackend } from './checked-backend';
import { openDevice, type OpenedDevice } from './dawn';
import { webgpuKernels } from './webgpu-kernels';

/** The release of TensorFlow.js' backend whose internals are used here. */
const testedVersion = '4.22.0';

/** `MatMulProgramType.MatMulPackedProgram` of that release. */
const tiledProduct = 3;

let opened: Promise<OpenedDevice> | undefined;

/**
 * WebGPU through Dawn, on the fastest adapter; each thread has a device of its own. Tensors can only be read asynchronously.
 *
 * @throws DomainError failed_precondition if there is no adapter here
 */
export async function openWebgpu({ kernelBuild = 'tuned' }: BackendOptions): Promise<Opened> {
  if (kernelBuild !== 'tuned' && kernelBuild !== 'plain')
    throw new DomainError('failed_precondition', `backend webgpu has no ${kernelBuild} kernels: use tuned or plain`);
  forgetLostDevice();
  opened ??= openDevice();
  const device = await opened.catch((error) => {
    opened = undefined;
    throw error;
  });
  if (!tf.findBackendFactory('webgpu')) register(device);
  await tf.setBackend('webgpu');
  const { version, name, isHardware } = device;
  const speed = isHardware ? '' : ', an adapter in software, many times slower than wasm';
  return {
    backend: {
      name: 'webgpu',
      kernelBuild,
      ...{ version, device: name, isGpu: isHardware, threads: 1 },
      reason: `${kernelBuild} kernels on ${name}${speed}`,
    },
    kernels: kernelBuild === 'tuned' ? webgpuKernels : plainKernels,
    memoryBytes: memoryBytes(device),
  };
}

/** Tensors that were on it stay with the backend that had it, and throw when they are read. */
function forgetLostDevice(): void {
  const backend = tf.findBackend('webgpu') as CheckedBackend | null;
  if (!backend?.isLost) return;
  tf.removeBackend('webgpu');
  opened = undefined;
}

/** Only when this backend is opened: it is 0.7 MB of JavaScript, with a kernel of its own for every operation. */
function register(device: OpenedDevice): void {
  /* eslint-disable @typescript-eslint/no-require-imports */
  const { version } = require('@tensorflow/tfjs-backend-webgpu/package.json') as { version: string };
  if (version !== testedVersion)
    throw new DomainError(
      'failed_precondition',
      `@tensorflow/tfjs-backend-webgpu is ${version}, and ${testedVersion} is what was tested: run npm ci`,
    );
  const { CheckedBackend } = require('./checked-backend') as typeof import('./checked-backend');
  /* eslint-enable @typescript-eslint/no-require-imports */
  // The results of small operations would otherwise depend on whether their inputs have been read before.
  tf.env().set('WEBGPU_CPU_FORWARD', false);
  // The product in tiles, for every shape: of the others one adds atomically, in an order that changes from run to run, and all
  // have more barriers than it, which in software cost twenty times the product.
  tf.env().set('WEBGPU_MATMUL_PROGRAM_TYPE', tiledProduct);
  tf.registerBackend('webgpu', () => CheckedBackend.on(device));
}

/** WebGPU does not tell: asked of NVIDIA's driver; elsewhere the largest buffer, which is what there is at least. */
function memoryBytes({ device, adapterInfo, isHardware }: OpenedDevice): () => number {
  if (!isHardware) return () => systemMemoryFor();
  const card = adapterInfo.vendor === 'nvidia' ? graphicsCard(undefined).freeBytes : undefined;
  const bytes = card ?? device.limits.maxBufferSize;
  return () => bytes;
}
