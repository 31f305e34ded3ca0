// Opens a backend and measures it, in a process of its own: a broken native library can end the process that loads it.
import { linear, openBackend, type Backend, type BackendName } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import { DomainError } from '@surefoot/errors';

/** What is sent to the process that started this one. */
export type ProbeResult = { backend: Backend; matmulGflops: number } | { problem: string };

/** Rows and columns of the matrices. */
const size = 512;
/** Products before their result is waited for, and how long to go on. */
const inARow = 4;
const enoughMs = 200;

/** Opens a backend and measures it. */
async function probe(name: BackendName, threads: number): Promise<ProbeResult> {
  try {
    const backend = await openBackend(name, { threads });
    return { backend, matmulGflops: await matmulSpeed() };
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    return { problem: error.message };
  }
}

/** 10^9 floating-point operations a second of a float32 matrix product, by the kernels that models compute with. */
async function matmulSpeed(): Promise<number> {
  const matrix = tf.ones<tf.Rank.R2>([size, size]);
  const multiply = async (count: number) => {
    const products = Array.from({ length: count }, () => linear(matrix, matrix));
    await products.at(-1)!.data();
    tf.dispose(products);
  };
  // The first takes longer: kernels are compiled. One that takes very long says enough.
  let start = performance.now();
  let done = 1;
  await multiply(1);
  if (performance.now() - start < enoughMs / 2) {
    start = performance.now();
    for (done = 0; performance.now() - start < enoughMs; done += inARow) await multiply(inARow);
  }
  const seconds = (performance.now() - start) / 1000;
  return (2 * size ** 3 * done) / seconds / 1e9;
}

const [threads, name] = process.argv.slice(2);
void probe(name as BackendName, Number(threads)).then((result) =>
  // A driver's threads do not keep the process.
  process.send!(result, () => process.exit(0)),
);
