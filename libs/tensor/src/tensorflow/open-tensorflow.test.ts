import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { hasTensorflow, inspectTensorflow, libraryFiles } from './native-library';
import { openTensorflow } from './open-tensorflow';

/** Runs code in a process of its own, with `open(options)` and `product()`; what it prints is parsed. */
function runs(code: string, env: NodeJS.ProcessEnv = {}): { stdout: string; stderr: string } {
  const prelude = `
    const { openTensorflow } = require(${JSON.stringify(join(__dirname, 'open-tensorflow.ts'))});
    const tf = require('@tensorflow/tfjs');
    const open = async (options = {}) => (await openTensorflow(options)).backend;
    const product = async () => [...(await tf.matMul([[1, 2], [3, 4]], [[5, 6], [7, 8]]).data())].join();`;
  const args = ['--conditions=@surefoot/source', '--import', 'tsx', '--eval', `${prelude}\n(async () => {${code}})();`];
  const { stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: __dirname,
    env: { ...ownEnvironment(), PRELUDE: prelude, ...env },
    encoding: 'utf8',
  });
  return { stdout, stderr };
}

/** Without what jest's setup, or TensorFlow opened by another test, has set for this process, and without colours. */
function ownEnvironment(): NodeJS.ProcessEnv {
  const isForeign = (name: string) => /^(TF_|NVIDIA_|FORCE_COLOR$)/.test(name);
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !isForeign(name)));
}

(hasTensorflow() ? describe : describe.skip)('openTensorflow', () => {
  test('says what computes', async () => {
    const { backend, memoryBytes } = await openTensorflow({});
    const { version } = inspectTensorflow();
    expect(backend).toMatchObject({ name: 'tensorflow', kernelBuild: 'tuned', version });
    expect(backend.device === 'CPU').toBe(!backend.isGpu);
    expect(backend.reason).toMatch(/^tuned kernels on (a GPU through CUDA|the CPU)/);
    expect(memoryBytes()).toBeGreaterThan(1e6);
    if (!backend.isGpu) expect(memoryBytes()).toBeLessThanOrEqual(totalmem());
    await expect(openTensorflow({ kernelBuild: 'simd' })).rejects.toThrow('has no simd kernels: use tuned or plain');
  });

  test('says nothing on stderr and computes', () => {
    const { stdout, stderr } = runs('await open(); console.log(await product())');
    expect({ stdout, stderr }).toEqual({ stdout: '19,22,43,50\n', stderr: '' });
  });

  test('computes in two workers and the main thread at once, and one pool of threads serves all', () => {
    // The workers' process.env is a copy: their setting reaches TensorFlow all the same.
    const { stdout, stderr } = runs(`
      const { Worker } = require('node:worker_threads');
      const code = "require('tsx/cjs');" + process.env.PRELUDE + \`
        (async () => {
          const { threads } = await open({ threads: 3 });
          require('node:worker_threads').parentPort.postMessage(threads + ' ' + (await product()));
        })();\`;
      const messages = [0, 1].map(() => new Promise((resolve, reject) =>
        new Worker(code, { eval: true }).on('message', resolve).on('error', reject)));
      console.log(await messages[0]);
      const { threads } = await open({ threads: 2 });
      console.log(await messages[1], threads, await product(), process.env.TF_NUM_INTRAOP_THREADS);`);
    expect({ stdout, stderr }).toEqual({
      stdout: '3 19,22,43,50\n3 19,22,43,50 3 19,22,43,50 3\n',
      stderr: '',
    });
  });

  test('leaves what the environment says', () => {
    const code =
      'const { threads } = await open({ threads: 4 }); console.log(threads, process.env.NVIDIA_TF32_OVERRIDE)';
    const env = { TF_NUM_INTRAOP_THREADS: '1', NVIDIA_TF32_OVERRIDE: '1', TF_CPP_MIN_LOG_LEVEL: '0' };
    const { stdout, stderr } = runs(code, env);
    expect(stdout).toBe('1 1\n');
    expect(stderr).toMatch(/TensorFlow|oneDNN/);
  });
});

describe('openTensorflow without a library that works', () => {
  let folder: string;
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'tensorflow-'))));
  afterEach(() => rmSync(folder, { recursive: true }));
  const tells = 'await open().catch(({ kind, message }) => console.log(kind, message))';

  test('says how to install it', () => {
    const { stdout } = runs(tells, { SUREFOOT_TENSORFLOW_DIR: join(folder, 'nothing') });
    expect(stdout).toBe(
      'failed_precondition backend tensorflow: native TensorFlow is not installed; run npm run install:tensorflow\n',
    );
  });

  test('says that a library does not load, and why', () => {
    const files = [libraryFiles.binding, libraryFiles.settings, ...libraryFiles.libraries];
    for (const file of files) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), 'no library');
    }
    const manifest = {
      ...{ tensorflow: '2.21.0', kind: 'cpu', platform: `${process.platform}-${process.arch}`, glibc: '2.27' },
      files: Object.fromEntries(files.map((file) => [file, { bytes: 10 }])),
    };
    writeFileSync(join(folder, libraryFiles.manifest), JSON.stringify(manifest));
    const { stdout } = runs(tells, { SUREFOOT_TENSORFLOW_DIR: folder });
    expect(stdout).toMatch(
      /^failed_precondition native TensorFlow does not load: .*tensorflow_settings\.node: .*; run npm run install:tensorflow -- --force, or use/,
    );
  });
});
