import { freemem } from 'node:os';
import { join } from 'node:path';
import * as util from 'node:util';
import * as tf from '@tensorflow/tfjs';
import { DomainError } from '@surefoot/errors';
import type { BackendOptions, Opened } from '../opened';
import { plainKernels } from '../plain-kernels';
import { hasTensorflow, tensorflowFolder } from './native-library';
import { tensorflowKernels } from './tensorflow-kernels';

/** Native TensorFlow under the JavaScript of tfjs-node. @throws DomainError failed_precondition if it is not installed here */
export async function openTensorflow({ kernelBuild = 'tuned', threads }: BackendOptions): Promise<Opened> {
  if (kernelBuild !== 'tuned' && kernelBuild !== 'plain')
    throw new DomainError(
      'failed_precondition',
      `backend tensorflow has no ${kernelBuild} kernels: use tuned or plain`,
    );
  if (!hasTensorflow())
    throw new DomainError('failed_precondition', 'native TensorFlow is not installed: run npm run install:tensorflow');
  // Removed from Node 23; tfjs-node 4.22 still calls them (tfjs#8609).
  const old = util as unknown as Record<string, unknown>;
  old['isNullOrUndefined'] ??= (value: unknown) => value == null;
  old['isArray'] ??= Array.isArray;
  /* eslint-disable no-restricted-properties -- TensorFlow reads its settings from the environment when it is loaded */
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '3';
  if (threads) process.env['TF_NUM_INTRAOP_THREADS'] ??= String(threads);
  /* eslint-enable no-restricted-properties */
  if (!tf.findBackend('tensorflow')) {
    const loaded = { exports: {} as { TF_Version: string } };
    process.dlopen(loaded, join(tensorflowFolder(), 'tfjs_binding.node'));
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- its index.js would look for a binding of its own
    const { NodeJSKernelBackend } = require('@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend.js');
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    require('@tensorflow/tfjs-node-gpu/dist/register_all_kernels.js');
    tf.registerBackend('tensorflow', () => new NodeJSKernelBackend(loaded.exports, '@tensorflow/tfjs-node-gpu'));
  }
  await tf.setBackend('tensorflow');
  return {
    backend: {
      name: 'tensorflow',
      kernelBuild,
      ...{ version: '', device: 'CPU', isGpu: false, threads: threads ?? 1, memoryBytes: freemem() },
      reason: '',
    },
    kernels: kernelBuild === 'tuned' ? tensorflowKernels : plainKernels,
  };
}
