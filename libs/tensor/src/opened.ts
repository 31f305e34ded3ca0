import type { Kernels } from './kernels';

export type BackendName = 'auto' | 'tensorflow' | 'webgpu' | 'wasm' | 'cpu';
/**
 * Who wrote what computes: `plain` is TensorFlow.js' own operations composed, `simd` and `relaxed-simd` our WebAssembly,
 * `tuned` our choice of a native backend's operations with gradients of our own.
 */
export type KernelBuild = 'relaxed-simd' | 'simd' | 'plain' | 'tuned';

/** Where tensors live and what computes on them. */
export interface Backend {
  readonly name: Exclude<BackendName, 'auto'>;
  /** A run records it: results of two builds differ in their last bits. */
  readonly kernelBuild: KernelBuild;
  /** Release of what computes: of TensorFlow, of Dawn, else of TensorFlow.js. */
  readonly version: string;
  /** `CPU`, or the name of the GPU. */
  readonly device: string;
  readonly isGpu: boolean;
  /** Processor threads that one operation may use. */
  readonly threads: number;
  /** `native` where products with BF16 weights are rounded to BF16; else the weights are cast to float32 first. */
  readonly bfloat16?: 'native';
  /** Bytes that all tensors together may take, as far as it can be known: read now, except of a GPU; a copy has the number of then. */
  readonly memoryBytes: number;
  /** Why this one, and why not the others; for the log. */
  readonly reason: string;
}

/**
 * What of a backend decides the last bits of results: a run records it, and a resumed run insists on it.
 *
 * The kernels on wasm are ours; elsewhere releases and devices round differently, and TensorFlow divides a sum among its
 * threads. Native products of BF16 weights round each to 8 bits.
 */
export function backendIdentity({ name, kernelBuild, version, device, isGpu, threads, bfloat16 }: Backend): string {
  const native = name === 'tensorflow' || name === 'webgpu' ? [version, device] : [];
  const divided = name === 'tensorflow' && !isGpu ? [`${threads} ${threads === 1 ? 'thread' : 'threads'}`] : [];
  const rounded = bfloat16 ? ['native BF16'] : [];
  return [name, kernelBuild, ...native, ...divided, ...rounded].join(' ');
}

/** Whether a thread of it computes on one processor; others divide each operation among threads of their own. */
export function computesOnOneProcessor({ name }: Pick<Backend, 'name'>): boolean {
  return name === 'wasm' || name === 'cpu';
}

/** A backend that is ready, with the kernels that run on it. */
export interface Opened {
  backend: Omit<Backend, 'memoryBytes'>;
  kernels: Kernels;
  /** `Backend.memoryBytes`, now. */
  memoryBytes: () => number;
}

/** What `openBackend` may be told. */
export interface BackendOptions {
  /** Insists on one; else the fastest that works, down to `plain`. */
  kernelBuild?: KernelBuild;
  /** Processor threads for one operation, where the backend has any; default as many as the machine has cores. */
  threads?: number;
  /** Threads that will share the machine's memory, each computing in a heap of its own; default 1. */
  heaps?: number;
  /** Parameters of the model that will be computed with: decides `auto`; default a small model. */
  parameters?: number;
  /**
   * How tensorflow multiplies by weights that are held as BF16: `cast` to float32 first, or `native`, which is faster, rounds
   * every product to 8 bits, and needs a CPU that can. Default what `SUREFOOT_BF16` says, else `cast`.
   */
  bfloat16?: 'cast' | 'native';
  /** Refuses every backend that does not compute on a GPU. */
  requireGpu?: boolean;
}
