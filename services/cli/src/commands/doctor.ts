import { existsSync } from 'node:fs';
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { DomainError } from '@surefoot/errors';
import { openBackend, type BackendName } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import { defineCommand } from '../command';
import { version } from '../version';

interface BackendReport {
  name: BackendName;
  available: boolean;
  /** Why it is used, or why it cannot be. */
  reason: string;
  kernelBuild?: string;
  /** 10^9 floating-point operations a second of a float32 matrix product. */
  matmulGflops?: number;
}

const size = 256;
const repeats = 10;

export const doctor = defineCommand({
  name: 'doctor',
  summary: 'node, backends and why others do not load, GPU, memory, speed',
  example: 'doctor',
  options: {},
  async run() {
    const backends: BackendReport[] = [];
    for (const name of ['tensorflow', 'webgpu', 'wasm', 'cpu'] as const) backends.push(await tryBackend(name));
    const document = {
      surefoot: version,
      node: process.versions.node,
      platform: `${process.platform} ${process.arch}`,
      cores: availableParallelism(),
      cpu: cpus()[0]?.model ?? 'unknown',
      memory: { totalBytes: totalmem(), freeBytes: freemem() },
      gpu: gpuDevices(),
      tfjs: tf.version_core,
      backends,
    };
    return { document, text: lines(document) };
  },
});

async function tryBackend(name: BackendName): Promise<BackendReport> {
  try {
    const { reason, kernelBuild } = await openBackend(name);
    return { name, available: true, reason, kernelBuild, matmulGflops: await matmulSpeed() };
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    return { name, available: false, reason: error.message };
  }
}

async function matmulSpeed(): Promise<number> {
  const matrix = tf.ones([size, size]);
  const multiply = async () => {
    const product = tf.matMul(matrix, matrix);
    await product.data();
    product.dispose();
  };
  await multiply();
  const start = performance.now();
  for (let i = 0; i < repeats; i += 1) await multiply();
  const seconds = (performance.now() - start) / 1000;
  matrix.dispose();
  return (2 * size ** 3 * repeats) / seconds / 1e9;
}

function gpuDevices(): string[] {
  return ['/dev/nvidia0', '/dev/dri/renderD128', '/dev/kfd'].filter((path) => existsSync(path));
}

function lines(document: {
  surefoot: string;
  node: string;
  platform: string;
  cores: number;
  cpu: string;
  memory: { totalBytes: number; freeBytes: number };
  gpu: string[];
  backends: BackendReport[];
}): string {
  const gigabytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  const { memory } = document;
  return [
    `surefoot ${document.surefoot}, node ${document.node}, ${document.platform}`,
    `${document.cores} cores (${document.cpu}), ${gigabytes(memory.totalBytes)} memory, ${gigabytes(memory.freeBytes)} free`,
    `GPU devices: ${document.gpu.join(', ') || 'none'}`,
    ...document.backends.map(({ name, available, reason, kernelBuild, matmulGflops }) =>
      available
        ? `${name}: ${matmulGflops?.toFixed(1)} GFLOP/s, ${kernelBuild} kernels; ${reason}`
        : `${name}: not available; ${reason}`,
    ),
  ].join('\n');
}
