import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v8 from 'node:v8';
import * as tf from '@tensorflow/tfjs';
import { version_wasm, type BackendWasm } from '@tensorflow/tfjs-backend-wasm';
import { DomainError } from '@surefoot/errors';

/** What is used of the platform's WebAssembly, which only TypeScript's browser library declares. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => CompiledModule;
  Instance: new (compiled: CompiledModule, imports: Record<string, Record<string, unknown>>) => { exports: unknown };
  validate(bytes: Uint8Array): boolean;
};
type CompiledModule = object;
interface Memory {
  readonly buffer: ArrayBuffer;
}

export type SimdBuild = 'relaxed-simd' | 'simd';

type Kernel = (...numbers: number[]) => void;

/** The functions of `kernels/index.ts`; tensors go in as byte addresses. */
export type KernelModule = Record<
  | 'addGatheredRows'
  | 'addRow'
  | 'adamw'
  | 'attention'
  | 'attentionGradient'
  | 'cachedAttention'
  | 'entropy'
  | 'entropyGradient'
  | 'gatherRows'
  | 'gelu'
  | 'geluGradient'
  | 'layerNorm'
  | 'layerNormGradient'
  | 'logProbability'
  | 'logProbabilityGradient'
  | 'matmul'
  | 'rmsNorm'
  | 'rmsNormGradient'
  | 'rotate'
  | 'scatterRows'
  | 'silu'
  | 'siluGradient'
  | 'sumRows'
  | 'useScratch',
  Kernel
> &
  Record<'scratchBytes' | 'sumOfSquares', (...numbers: number[]) => number>;

/** The memory of TensorFlow.js' wasm backend with our kernels beside it. */
export interface SimdHeap {
  readonly build: SimdBuild;
  readonly module: KernelModule;
  /** Byte address of a tensor's values; it holds until the tensor is disposed, also when the heap grows. */
  address(tensor: tf.Tensor): number;
  /** A new float32 tensor whose values the caller writes. @throws DomainError resource_exhausted */
  output<Rank extends tf.Rank>(shape: tf.ShapeMap[Rank]): tf.Tensor<Rank>;
  /** Addresses of pieces of working memory, one for each size in bytes; they hold until the next call. */
  workspace(...sizes: number[]): number[];
  /** Copies ids to an address of the workspace. */
  write(address: number, ids: Int32Array): void;
  /** How many tensors share a tensor's values. */
  shares(tensor: tf.Tensor): number;
}

/** Where the wasm backend's memory stops growing. */
export const maxHeapBytes = 2 ** 32;
/** The release whose internals are used here. */
const testedVersion = '4.22.0';

/**
 * Instantiates our kernels on the memory of the open wasm backend.
 *
 * `memory` and `malloc` of that backend are not in its typings, so what is relied on is checked: version, memory, allocator and
 * a product with a known result.
 *
 * @param wanted one build, or the best that this machine runs
 * @throws Error saying why there can be no kernels here; the plain operations are the way then
 */
export function openSimdHeap(backend: BackendWasm, wanted?: SimdBuild): SimdHeap {
  if (version_wasm !== testedVersion)
    throw new Error(`the wasm backend is ${version_wasm}, the kernels were tested with ${testedVersion}`);
  const { asm, _malloc: malloc, _free: free } = backend.wasm as unknown as WasmInternals;
  const memory = asm?.memory;
  if (!memory || Object.prototype.toString.call(memory) !== '[object WebAssembly.Memory]')
    throw new Error('the wasm backend does not show its memory');
  if (typeof malloc !== 'function' || typeof free !== 'function')
    throw new Error('the wasm backend does not show its allocator');
  const { build, compiled } = compile(wanted);
  const { exports } = new WebAssembly.Instance(compiled, { env: { memory }, host: { log: Math.log } });
  const module = exports as KernelModule;
  const working = workingMemoryOf(memory, () => allocate(malloc, module.scratchBytes()));
  module.useScratch(aligned(working.scratch));
  const heap = createHeap(backend, { build, module, memory, malloc, free, working });
  checkKnownProduct(heap);
  return heap;
}

/** What kernels work in beside tensors; those of every opening on one memory share it. */
interface WorkingMemory {
  /** Address of what the module itself asks for; all builds ask for the same. */
  scratch: number;
  /** What `workspace` hands out. */
  block: { address: number; size: number };
}

const workingMemories = new WeakMap<Memory, WorkingMemory>();

function workingMemoryOf(memory: Memory, allocateScratch: () => number): WorkingMemory {
  const known = workingMemories.get(memory);
  if (known) return known;
  const working = { scratch: allocateScratch(), block: { address: 0, size: 0 } };
  workingMemories.set(memory, working);
  return working;
}

interface WasmInternals {
  asm?: { memory?: Memory };
  _malloc(bytes: number): number;
  _free(address: number): void;
}

function createHeap(
  backend: BackendWasm,
  parts: {
    build: SimdBuild;
    module: KernelModule;
    memory: Memory;
    malloc: WasmInternals['_malloc'];
    free: WasmInternals['_free'];
    working: WorkingMemory;
  },
): SimdHeap {
  const { build, module, memory, malloc, free, working } = parts;
  const engine = tf.engine();

  function output<Rank extends tf.Rank>(shape: tf.ShapeMap[Rank]): tf.Tensor<Rank> {
    // The allocator takes the size modulo 2^32.
    if (4 * tf.util.sizeFromShape(shape) >= maxHeapBytes) throw heapFull(`a tensor [${shape.join(', ')}]`);
    const info = backend.makeOutput(shape, 'float32');
    if (backend.getMemoryOffset(info.dataId) === 0) {
      backend.disposeData(info.dataId);
      throw heapFull(`a tensor [${shape.join(', ')}]`);
    }
    return engine.makeTensorFromTensorInfo(info, backend) as tf.Tensor<Rank>;
  }

  function workspace(...sizes: number[]): number[] {
    const rounded = sizes.map((size) => Math.ceil(size / 16) * 16);
    const total = rounded.reduce((sum, size) => sum + size, 0);
    if (total > working.block.size) {
      if (working.block.size > 0) free(working.block.address);
      working.block = { address: 0, size: 0 };
      working.block = { address: allocate(malloc, total), size: total };
    }
    let next = aligned(working.block.address);
    return rounded.map((size) => (next += size) - size);
  }

  return {
    build,
    module,
    address: (tensor) => backend.dataIdMap.get(tensor.dataId).memoryOffset,
    output,
    workspace,
    write: (address, ids) => new Int32Array(memory.buffer, address, ids.length).set(ids),
    shares: (tensor) => backend.refCount(tensor.dataId),
  };
}

/** Memory as `free` wants it back, with room to begin at a multiple of 16. */
function allocate(malloc: WasmInternals['_malloc'], bytes: number): number {
  const address = bytes + 15 < maxHeapBytes ? malloc(bytes + 15) >>> 0 : 0;
  if (address === 0) throw heapFull(`${bytes} bytes of working memory`);
  return address;
}

function aligned(address: number): number {
  return Math.ceil(address / 16) * 16;
}

function heapFull(what: string): DomainError {
  return new DomainError('resource_exhausted', `no room for ${what} on the wasm heap of 4 GiB: use smaller batches`);
}

/** The best build that this machine runs, or the one that is wanted. */
function compile(wanted: SimdBuild | undefined): { build: SimdBuild; compiled: CompiledModule } {
  for (const build of wanted ? [wanted] : (['relaxed-simd', 'simd'] as const)) {
    const bytes = readFileSync(join(__dirname, '..', '..', 'gen', `kernels-${build}.wasm`));
    // Node 20 knows relaxed SIMD but asks for a flag; later versions have it on.
    if (process.versions.node.startsWith('20.')) v8.setFlagsFromString('--experimental-wasm-relaxed-simd');
    if (WebAssembly.validate(bytes)) return { build, compiled: new WebAssembly.Module(bytes) };
  }
  throw new Error(`this Node cannot run the ${wanted ?? 'simd'} kernels`);
}

/** [[1, 2], [3, 4]] [[5, 6], [7, 8]] = [[19, 22], [43, 50]], all exact. */
function checkKnownProduct(heap: SimdHeap): void {
  const right = tf.tidy(() => {
    const [a, b, c] = [
      tf.tensor2d([1, 2, 3, 4], [2, 2]),
      tf.tensor2d([5, 6, 7, 8], [2, 2]),
      heap.output<tf.Rank.R2>([2, 2]),
    ];
    const [pa, pb, pc] = [heap.address(a), heap.address(b), heap.address(c)];
    heap.module.matmul(0, 0, 2, 2, 2, pa, 2, pb, 2, pc, 2, 0, 0);
    return `${c.dataSync()}` === '19,22,43,50';
  });
  if (!right) throw new Error('the kernels give a wrong product on this machine');
}
