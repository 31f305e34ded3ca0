// `npm run install:tensorflow [-- --gpu] [--from DIR] [--force] [--uninstall]`: native TensorFlow for @surefoot/tensor.
import { existsSync, mkdirSync, rmSync, statSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensure, main, root } from './ensure.mjs';
import { buildAddons, hashOfSources } from './install-tensorflow/build-addons.mjs';
import { linkCudaLibraries } from './install-tensorflow/cuda-links.mjs';
import { downloadInto, sha256Of } from './install-tensorflow/download.mjs';
import { bytesOf, copyInto, existingTensorflow } from './install-tensorflow/existing.mjs';
import { beginBeside, checkPlace, putInPlace, remove, uninstall } from './install-tensorflow/folder.mjs';
import { neededGlibc } from './install-tensorflow/needed-glibc.mjs';
import { lastLines, runQuietly, say, stopPrograms } from './install-tensorflow/processes.mjs';
import { Unavailable, unavailableStatus } from './install-tensorflow/unavailable.mjs';
import { wheelsOf } from './install-tensorflow/wheels.mjs';

const usage = `usage: npm run install:tensorflow -- [--gpu] [--from DIR] [--force] [--uninstall]

Brings native TensorFlow, for --backend tensorflow, on Linux x64 and arm64: downloads a pinned wheel with pip, compiles
TensorFlow.js' binding to it, multiplies two matrices, and puts all of it into one folder. Run again, it does nothing.

  --gpu        the CUDA build with CUDA's libraries, for NVIDIA GPUs (x64; 3.4 GB to download, 5.7 GB on disk)
  --from DIR   no download: the libraries of a Python TensorFlow, DIR being its site-packages or site-packages/tensorflow
  --force      installs again what is installed
  --uninstall  removes it

  SUREFOOT_TENSORFLOW_DIR   the folder, default ~/.cache/surefoot/tensorflow
  CXX                       the C++ compiler, default g++, c++ or clang++

Exit status: 0 installed, ${unavailableStatus} this machine cannot have it now (the package index cannot be reached; no python3, pip or C++ compiler; not
Linux x64 or arm64 with glibc), 1 any other failure.
`;

/** The package's own TypeScript, without a build. */
async function tensorSources() {
  const { require } = await import('tsx/cjs/api');
  const load = (name) => require(`../libs/tensor/src/tensorflow/${name}.ts`, import.meta.url);
  return { ...load('native-library'), ...load('install-tools') };
}

function options() {
  const flags = { gpu: 'boolean', from: 'string', force: 'boolean', uninstall: 'boolean', help: 'boolean' };
  const { values } = parseArgs({
    options: Object.fromEntries(Object.entries(flags).map(([name, type]) => [name, { type }])),
  });
  if (values.uninstall && (values.gpu || values.from || values.force))
    throw new Error('--uninstall goes with no other flag');
  // As an unset variable leaves it: what would be downloaded instead was not asked for.
  if (values.from === '') throw new Error('--from needs the folder of a Python TensorFlow');
  return values;
}

await main(async () => {
  try {
    return await installOrRemove();
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
    say(error.message);
    return unavailableStatus;
  }
});

async function installOrRemove() {
  const started = performance.now();
  const { gpu, from, force, uninstall: removes, help } = options();
  if (help) {
    process.stdout.write(usage);
    return 0;
  }
  // To look and to remove, these two are enough; before a build all packages are checked.
  if (['tsx', '@tensorflow/tfjs-node-gpu'].some((name) => !existsSync(join(root, 'node_modules', name))))
    ensure({ build: false });
  const tensor = await tensorSources();
  const folder = tensor.tensorflowFolder();
  if (removes) {
    const files = tensor.readManifest(folder)?.files;
    const listed = files?.[tensor.libraryFiles.binding] && Object.keys(files);
    say(
      uninstall(folder, listed)
        ? `removed native TensorFlow from ${folder}`
        : `nothing to remove: ${folder} does not exist`,
    );
    return 0;
  }
  const unsupported = tensor.unsupportedPlatform();
  if (unsupported) throw new Unavailable(`${unsupported.problem}: ${unsupported.cure}`);
  const wanted = from ? fromFolder(from, gpu, tensor) : pinned(gpu, tensor);
  const state = tensor.inspectTensorflow();
  if (!force && isCurrent(state, wanted, tensor)) {
    say(`TensorFlow ${state.version} (${state.kind}) is already installed in ${folder}`);
    return 0;
  }
  ensure({ build: false });
  checkTools(tensor.missingInstallTools(), from);
  checkPlace(folder);
  checkSpace(folder, wanted.megabytes);
  if (state.installed) say(`replacing ${state.problem ?? `TensorFlow ${state.version} (${state.kind})`}`);
  const beside = beginBeside(folder);
  const undisturbed = removeWhenStopped(beside);
  try {
    const backend = await build(beside, wanted, tensor);
    undisturbed();
    putInPlace(folder, beside);
    const seconds = ((performance.now() - started) / 1000).toFixed(0);
    say(`TensorFlow ${backend.version} (${wanted.kind}) is installed in ${folder}, ${seconds} s`);
    say(`it computes on ${backend.isGpu ? backend.device : backend.reason.replace('plain kernels on ', '')}`);
  } catch (error) {
    remove(beside);
    throw error.code === 'ENOSPC' ? new Error(`no space is left for ${folder}: ${needs(wanted.megabytes)}`) : error;
  }
  return 0;
}

/** Removes the folder on a signal that ends this process, after what writes into it. @returns function that takes this back */
function removeWhenStopped(beside) {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  const stop = async () => {
    await stopPrograms();
    remove(beside);
    process.exit(130);
  };
  for (const signal of signals) process.once(signal, stop);
  return () => signals.forEach((signal) => process.off(signal, stop));
}

/** The pinned wheels for this machine. */
function pinned(gpu, { tensorflowReleases }) {
  const kind = gpu ? 'gpu' : 'cpu';
  const wheels = wheelsOf(`${process.platform}-${process.arch}`, kind);
  if (!wheels)
    throw new Error(`there is no ${kind} build of TensorFlow for ${process.platform} ${process.arch}: leave out --gpu`);
  const unpacked = wheels.reduce((sum, wheel) => sum + wheel.unpackedMegabytes, 0);
  // pip holds a wheel twice for a moment.
  const megabytes = unpacked + 2 * Math.max(...wheels.map((wheel) => wheel.megabytes));
  return { kind, version: tensorflowReleases.pinned, wheels, megabytes };
}

/** The Python TensorFlow that --from names. */
function fromFolder(from, gpu, { libraryFiles, tensorflowReleases: { oldest, newest }, acceptsRelease }) {
  const existing = existingTensorflow(from, libraryFiles.libraries);
  const { folder, version, kind } = existing;
  if (!acceptsRelease(version))
    throw new Error(`${folder} is TensorFlow ${version}: ${oldest} to ${newest} are known to work`);
  if (gpu && kind === 'cpu')
    throw new Error(
      `${folder} is a CPU build of TensorFlow ${version}: leave out --gpu, or --from to download the CUDA build`,
    );
  return { kind, version, existing, megabytes: Math.ceil(bytesOf(existing, libraryFiles.libraries) / 1e6) + 1 };
}

/** Whether what is installed is what is wanted; compares what the manifest says, and sizes. */
function isCurrent({ folder, problem, version, kind }, wanted, { readManifest }) {
  if (problem || version !== wanted.version || kind !== wanted.kind) return false;
  const { addons, wheels } = readManifest(folder);
  if (addons !== hashOfSources(root)) return false;
  const has = new Set(Object.values(wheels ?? {}));
  // Libraries that were copied from a Python TensorFlow of the release serve as well as the wheels.
  return !wheels || !wanted.wheels || wanted.wheels.every(({ sha256 }) => has.has(sha256));
}

function checkTools(missing, from) {
  const needed = missing.filter(({ tool }) => !from || tool === 'C++ compiler');
  if (needed.length === 0) return;
  throw new Unavailable(needed.map(({ tool, cure }) => `no ${tool} was found: ${cure}`).join('\n'));
}

function needs(megabytes) {
  return `${(megabytes / 1000).toFixed(1)} GB are needed while installing`;
}

function checkSpace(folder, megabytes) {
  let at = dirname(folder);
  while (!existsSync(at)) at = dirname(at);
  const { bavail, bsize } = statfsSync(at);
  const free = (bavail * bsize) / 1e9;
  if (free * 1000 < megabytes)
    throw new Error(
      `${needs(megabytes)}, and the disk of ${at} has ${free.toFixed(1)} GB free: make room, or set SUREFOOT_TENSORFLOW_DIR to another disk`,
    );
}

/** Fills the folder beside, down to the test. @returns the backend that the test opened */
async function build(beside, { kind, version, wheels, existing }, { compiler, libraryFiles }) {
  const { libraries, binding, settings, manifest } = libraryFiles;
  if (existing) mkdirSync(join(beside, 'tensorflow'));
  const { files, wheels: written } = existing
    ? { files: await copyInto(beside, existing, libraries) }
    : await downloadInto(beside, wheels);
  linkCudaLibraries(beside, files);
  const headers = join(existing ? existing.folder : join(beside, 'tensorflow'), 'include');
  await buildAddons(root, { compiler: compiler(), folder: beside, headers, names: { binding, settings } });
  if (!existing) rmSync(join(beside, 'tensorflow/include'), { recursive: true });
  for (const path of Object.keys(files)) if (path.startsWith('tensorflow/include/')) delete files[path];
  for (const name of [binding, settings])
    files[name] = { bytes: statSync(join(beside, name)).size, sha256: await sha256Of(join(beside, name)) };
  const platform = `${process.platform}-${process.arch}`;
  const content = {
    tensorflow: version,
    kind,
    platform,
    glibc: await neededGlibc([binding, settings, ...libraries].map((name) => join(beside, name))),
    addons: hashOfSources(root),
    wheels: written,
    files,
  };
  writeFileSync(join(beside, manifest), `${JSON.stringify(content, null, 2)}\n`);
  return selfTest(beside, version);
}

async function selfTest(beside, version) {
  say('testing it …');
  const args = [
    '--conditions=@surefoot/source',
    '--import',
    'tsx',
    join(root, 'scripts/install-tensorflow/self-test.mjs'),
  ];
  const { status, stdout, stderr } = await runQuietly(process.execPath, args, {
    cwd: root,
    env: { SUREFOOT_TENSORFLOW_DIR: beside },
  });
  if (status !== 0)
    throw new Error(`the library does not work here, so nothing was changed:\n${lastLines(stderr, 12)}`);
  const backend = JSON.parse(stdout);
  if (backend.version !== version)
    throw new Error(`the library says that it is TensorFlow ${backend.version}, and it should be ${version}`);
  return backend;
}
