import { existsSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Examination } from '../doctor/examine';
import { expectDone, surefoot, workFolder } from './testing';

let work: Awaited<ReturnType<typeof workFolder>>;
beforeAll(async () => void (work = await workFolder()));
afterAll(() => work.remove());
const at = (...path: string[]) => join(work.path, ...path);

const hasGpu = ['/dev/nvidiactl', '/dev/dxg', '/dev/dri'].some((path) => existsSync(path));
/** A machine that has nothing but npm's packages. */
const bare = () => ({ SUREFOOT_TENSORFLOW_DIR: at('nothing'), VK_ICD_FILENAMES: '', SUREFOOT_THREADS: '1' });

async function examined(env: NodeJS.ProcessEnv): Promise<Examination> {
  const ended = await surefoot(['doctor', '--json'], { cwd: work.path, env: { ...bare(), ...env } });
  expectDone(ended);
  return JSON.parse(ended.stdout) as Examination;
}
const backend = ({ backends }: Examination, name: string) => backends.find((each) => each.name === name)!;

const files = [
  'tfjs_binding.node',
  'tensorflow_settings.node',
  'tensorflow/libtensorflow_cc.so.2',
  'tensorflow/libtensorflow_framework.so.2',
];

/** An installation of native TensorFlow whose files hold `contents`, by name; others a few letters. */
async function installation(name: string, contents: Record<string, string | Buffer> = {}, manifest: object = {}) {
  const folder = at(name);
  for (const file of files) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), contents[file] ?? 'no library');
  }
  const whole = {
    ...{ tensorflow: '2.21.0', kind: 'cpu', platform: `${process.platform}-${process.arch}`, glibc: '2.27' },
    files: Object.fromEntries(files.map((file) => [file, { bytes: (contents[file] ?? 'no library').length }])),
    ...manifest,
  };
  await writeFile(join(folder, 'manifest.json'), JSON.stringify(whole));
  return { SUREFOOT_TENSORFLOW_DIR: folder };
}

/** NODE_OPTIONS that run a script at the start of every process. */
async function preloaded(name: string, script: string) {
  await writeFile(at(name), script);
  return { NODE_OPTIONS: `--require ${at(name)}` };
}

describe('surefoot doctor', () => {
  test('finds everything, and what auto would take for a small, a middle and a large model', async () => {
    const found = await examined({});
    expect(found).toMatchObject({
      node: process.versions.node,
      platform: `${process.platform} ${process.arch}`,
      settings: { backend: 'auto', threads: 1, requireGpu: false },
      memory: { totalBytes: expect.any(Number), freeBytes: expect.any(Number) },
      gpu: expect.any(Array),
      tensorflow: { folder: at('nothing'), installed: false },
      missingTools: expect.any(Array),
      auto: [{ parameters: 1e5, backend: 'wasm' }, { parameters: 1e7 }, { parameters: 1e9 }],
      problems: expect.any(Array),
    });
    expect(found.backends.map(({ name }) => name)).toEqual(['tensorflow', 'webgpu', 'wasm', 'cpu']);
    expect(backend(found, 'wasm')).toMatchObject({
      ...{ available: true, kernelBuild: 'relaxed-simd', device: 'CPU', isGpu: false },
      matmulGflops: expect.any(Number),
    });
    expect(backend(found, 'tensorflow')).toMatchObject({
      available: false,
      reason: 'native TensorFlow is not installed; run npm run install:tensorflow',
    });
  });

  test('without python and a compiler says what to install', async () => {
    await mkdir(at('empty'));
    const { missingTools, problems } = await examined({ PATH: at('empty'), CXX: '' });
    expect(missingTools.map(({ tool }) => tool)).toEqual(['python3', 'C++ compiler']);
    expect(problems).toEqual([
      {
        problem: 'no python3, which installing native TensorFlow needs',
        cure: expect.stringContaining('apt-get install python3 python3-pip (Debian, Ubuntu) or dnf install'),
      },
      {
        problem: 'no C++ compiler, which installing native TensorFlow needs',
        cure: expect.stringContaining('apt-get install g++ (Debian, Ubuntu) or dnf install gcc-c++'),
      },
    ]);
  });

  test('without pip says what to install', async () => {
    await mkdir(at('no-pip'));
    await writeFile(at('no-pip', 'python3'), '#!/bin/sh\n[ "$1" = --version ]\n', { mode: 0o755 });
    await writeFile(at('no-pip', 'g++'), '#!/bin/sh\n', { mode: 0o755 });
    const { problems } = await examined({ PATH: at('no-pip'), CXX: '' });
    expect(problems).toEqual([
      {
        problem: 'no pip, which installing native TensorFlow needs',
        cure: expect.stringContaining('apt-get install python3-pip'),
      },
    ]);
  });

  const library = 'tensorflow/libtensorflow_cc.so.2';
  test.each<[string, () => Promise<NodeJS.ProcessEnv>, RegExp]>([
    [
      'of another release',
      () => installation('release', {}, { tensorflow: '2.9.1' }),
      /holds TensorFlow 2\.9\.1, and 2\.15 to 2\.21 are known to work; run npm run install:tensorflow/,
    ],
    [
      'for another machine',
      () => installation('platform', {}, { platform: 'darwin-arm64' }),
      /holds TensorFlow for darwin-arm64, and this is .*; run npm run install:tensorflow/,
    ],
    [
      'without its library',
      () => installation('missing', {}, { files: { [files[0]!]: { bytes: 10 }, [files[1]!]: { bytes: 10 } } }),
      /libtensorflow_cc\.so\.2 has 10 bytes and not those of manifest\.json; run npm run install:tensorflow/,
    ],
    [
      'cut short',
      () =>
        installation(
          'half',
          { [library]: 'half' },
          { files: Object.fromEntries(files.map((f) => [f, { bytes: 10 }])) },
        ),
      /libtensorflow_cc\.so\.2 has 4 bytes and not those of manifest\.json; run npm run install:tensorflow/,
    ],
    [
      'that is text',
      () => installation('text'),
      /native TensorFlow does not load: .*(file too short|invalid ELF header).*; run npm run install:tensorflow -- --force/,
    ],
    [
      'with the head of a program in its place',
      () => installation('program', { 'tensorflow_settings.node': readFileSync(process.execPath).subarray(0, 8192) }),
      /(does not load: .*tensorflow_settings\.node|opening it ends the process \(SIG[A-Z]+).*; run npm run install:tensorflow -- --force/,
    ],
    [
      'that ends the process',
      async () => ({
        ...(await installation('ending')),
        ...(await preloaded('ending.js', `if (process.argv[3] === 'tensorflow') process.abort();`)),
      }),
      /^opening it ends the process \(SIGABRT.*; run npm run install:tensorflow -- --force, or use the wasm backend/,
    ],
  ])('a native library %s is told, and everything else is examined', async (_, env, message) => {
    const found = await examined(await env());
    expect(backend(found, 'tensorflow')).toMatchObject({ available: false, reason: expect.stringMatching(message) });
    expect(backend(found, 'wasm')).toMatchObject({ available: true });
    if (!hasGpu) expect(found.auto.map((each) => each.backend)).toEqual(['wasm', 'wasm', 'wasm']);
  });

  (hasGpu ? test.skip : test)('a GPU that is asked for and not there is exit status 1', async () => {
    for (const [words, env] of [
      [['--require-gpu'], {}],
      [[], { SUREFOOT_REQUIRE_GPU: '1' }],
    ] as const) {
      const ended = await surefoot(['doctor', ...words], { cwd: work.path, env: { ...bare(), ...env } });
      expect(ended.status).toBe(1);
      expect(ended.stdout).toContain('auto, 10 M parameters: nothing');
      expect(ended.stderr).toBe(
        'surefoot: a GPU is required and none was found; not tensorflow: no NVIDIA driver is loaded (a container needs --gpus all, a pod nvidia.com/gpu); not webgpu: there is no graphics card; not wasm: computes on the CPU\n',
      );
    }
  });

  (hasGpu ? test.skip : test)('WebGPU without a card, and with a driver that offers nothing, is told', async () => {
    expect(backend(await examined({}), 'webgpu')).toMatchObject({
      available: false,
      reason: expect.stringMatching(/there is no (graphics card|Vulkan loader)|webgpu is not installed/),
    });
    await writeFile(
      at('icd.json'),
      JSON.stringify({ file_format_version: '1.0.0', ICD: { library_path: at('none.so'), api_version: '1.3.0' } }),
    );
    expect(backend(await examined({ VK_ICD_FILENAMES: at('icd.json') }), 'webgpu')).toMatchObject({
      available: false,
      reason: expect.stringMatching(/no driver offers an adapter|no Vulkan loader|webgpu is not installed/),
    });
  });

  test('what a driver prints is no result', async () => {
    const script = `if (/probe/.test(process.argv[1])) for (const to of ['log', 'error']) console[to]('a driver says {');`;
    const found = await examined(await preloaded('printing.js', script));
    expect(backend(found, 'wasm')).toMatchObject({ available: true, matmulGflops: expect.any(Number) });
    expect(backend(found, 'cpu')).toMatchObject({ available: true });
  });

  test('one that ends its process takes no other with it', async () => {
    const script = `if (/probe/.test(process.argv[1]) && process.argv[3] === 'cpu') process.abort();`;
    const found = await examined(await preloaded('aborting.js', script));
    expect(backend(found, 'cpu')).toMatchObject({
      available: false,
      reason: expect.stringMatching(/^opening it ends the process \(SIGABRT/),
    });
    expect(backend(found, 'wasm')).toMatchObject({ available: true });
  });

  test('a release of Node that is too old is told', async () => {
    const versions = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '18.20.0' } });`;
    const { node, problems } = await examined(await preloaded('old.js', versions));
    expect(node).toBe('18.20.0');
    expect(problems).toContainEqual({
      problem: 'node 18.20.0 is older than 20.19',
      cure: 'install Node 24, 22 or 20.19',
    });
  });

  test('a backend that is asked for and does not open is a failure, and one that does is none', async () => {
    const run = (name: string) => surefoot(['doctor'], { cwd: work.path, env: { ...bare(), SUREFOOT_BACKEND: name } });
    const missing = await run('tensorflow');
    expect(missing.status).toBe(1);
    expect(missing.stderr).toMatch(/backend tensorflow was asked for and does not open: .*not installed/);
    expect(missing.stdout).toContain('asked for: backend tensorflow');
    expectDone(await run('wasm'));
    expect((await run('foo')).status).toBe(2);
  });

  test('a bad variable is named', async () => {
    const env = { ...bare(), SUREFOOT_THREADS: 'many' };
    const ended = await surefoot(['doctor'], { cwd: work.path, env });
    expect(ended).toMatchObject({ status: 1, stdout: '' });
    expect(ended.stderr).toMatch(/^surefoot: bad configuration: SUREFOOT_THREADS is "many": must be a whole number/);
  });
});
