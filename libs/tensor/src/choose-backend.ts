import { DomainError } from '@surefoot/errors';
import { openCpu } from './cpu';
import type { BackendName, BackendOptions, Opened } from './opened';
import { openTensorflow } from './tensorflow/open-tensorflow';
import { openWasm } from './wasm/open-wasm';
import { openWebgpu } from './webgpu/open-webgpu';

const open = { tensorflow: openTensorflow, webgpu: openWebgpu, wasm: openWasm, cpu: openCpu };

/** Opens the backend of a name, or the best for a model of this size. @throws DomainError failed_precondition */
export async function chooseBackend(name: BackendName, options: BackendOptions): Promise<Opened> {
  const opened = await open[name === 'auto' ? 'wasm' : name](options);
  const chosen = name === 'auto' ? 'auto' : `${name} was asked for`;
  if (options.requireGpu && !opened.backend.isGpu)
    throw new DomainError('failed_precondition', `a GPU is required, and ${opened.backend.name} computes on the CPU`);
  return { ...opened, backend: { ...opened.backend, reason: `${chosen}; ${opened.backend.reason}` } };
}
