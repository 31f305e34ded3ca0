import { existsSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** What the install command downloads, and the releases whose library the binding is known to run on. */
export const tensorflowReleases = { pinned: '2.21.0', oldest: '2.15', newest: '2.21' };

/** What an installation holds, beside which nothing is needed; paths are relative to its folder. */
export const libraryFiles = {
  binding: 'tfjs_binding.node',
  /** Addon that is loaded before the binding (scripts/install-tensorflow/tensorflow-settings.cc). */
  settings: 'tensorflow_settings.node',
  libraries: ['tensorflow/libtensorflow_cc.so.2', 'tensorflow/libtensorflow_framework.so.2'],
  manifest: 'manifest.json',
};

/** `manifest.json`, which the install command writes: what lies here, and where it came from. */
export interface Manifest {
  tensorflow: string;
  /** `gpu`: a CUDA build, with the CUDA libraries in `nvidia/`. It computes on the CPU where it finds no GPU. */
  kind: 'cpu' | 'gpu';
  /** As `process.platform` and `process.arch` write it, for example `linux-x64`. */
  platform: string;
  /** The oldest C library that the libraries and the addons run with. */
  glibc: string;
  /** SHA-256 of what the addons were compiled from, and how: with another one, they are compiled again. */
  addons: string;
  /** Wheels with their SHA-256; absent if the libraries were copied from a Python TensorFlow. */
  wheels?: Record<string, string>;
  /** Size in bytes and SHA-256 of every file. */
  files: Record<string, { bytes: number; sha256: string }>;
}

/** What there is of native TensorFlow on this machine. */
export interface TensorflowInspection {
  folder: string;
  /** Whether the folder holds anything; `problem` says whether it works. */
  installed: boolean;
  version?: string;
  kind?: 'cpu' | 'gpu';
  /** Absent if the library can be loaded. */
  problem?: string;
  /** What to do about it. */
  cure?: string;
}

const install = 'run npm run install:tensorflow';

/**
 * The folder that `npm run install:tensorflow` fills: `tfjs_binding.node`, and `tensorflow/` with the native library, which the
 * binding finds beside itself. `SUREFOOT_TENSORFLOW_DIR` names another. Absolute and without a slash at its end, since a link is
 * looked at by its name; a relative value is taken from the working folder.
 */
export function tensorflowFolder(): string {
  // eslint-disable-next-line no-restricted-properties -- where a library lies is a property of the machine, as LD_LIBRARY_PATH
  const { SUREFOOT_TENSORFLOW_DIR, XDG_CACHE_HOME } = process.env;
  return resolve(
    SUREFOOT_TENSORFLOW_DIR || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'surefoot', 'tensorflow'),
  );
}

/** Whether there is a native library that can be loaded. */
export function hasTensorflow(): boolean {
  return inspectTensorflow().problem === undefined;
}

/** Looks at what is installed without loading it: names and sizes, no contents. */
export function inspectTensorflow(): TensorflowInspection {
  const folder = tensorflowFolder();
  const unsupported = unsupportedPlatform();
  if (unsupported) return { folder, installed: false, ...unsupported };
  if (!existsSync(folder))
    return { folder, installed: false, problem: 'native TensorFlow is not installed', cure: install };
  const manifest = readManifest(folder);
  if (!manifest) {
    const problem = `${folder} holds no finished installation of native TensorFlow: its ${libraryFiles.manifest} is missing or not one`;
    return { folder, installed: existsSync(join(folder, libraryFiles.binding)), problem, cure: install };
  }
  const { tensorflow: version, kind } = manifest;
  return { folder, installed: true, version, kind, ...problemOf(manifest, folder) };
}

/** The manifest of an installation, or undefined where there is none or it is something else. */
export function readManifest(folder: string): Manifest | undefined {
  try {
    const manifest = JSON.parse(readFileSync(join(folder, libraryFiles.manifest), 'utf8')) as unknown;
    return isManifest(manifest) ? manifest : undefined;
  } catch {
    return undefined;
  }
}

/** Whether it has what is read of every installation. */
function isManifest(value: unknown): value is Manifest {
  const { tensorflow, kind, platform, glibc, files } = (value ?? {}) as Record<keyof Manifest, unknown>;
  return (
    [tensorflow, platform, glibc].every((text) => typeof text === 'string') &&
    (kind === 'cpu' || kind === 'gpu') &&
    files instanceof Object &&
    Object.values(files).every((file: unknown) => file instanceof Object && 'bytes' in file)
  );
}

function problemOf(manifest: Manifest, folder: string): { problem: string; cure: string } | undefined {
  const here = `${process.platform}-${process.arch}`;
  if (manifest.platform !== here)
    return { problem: `${folder} holds TensorFlow for ${manifest.platform}, and this is ${here}`, cure: install };
  if (!acceptsRelease(manifest.tensorflow))
    return {
      problem: `${folder} holds TensorFlow ${manifest.tensorflow}, and ${tensorflowReleases.oldest} to ${tensorflowReleases.newest} are known to work`,
      cure: install,
    };
  const files = Object.entries(manifest.files);
  const damaged = [libraryFiles.binding, libraryFiles.settings, ...libraryFiles.libraries]
    .filter((path) => !manifest.files[path])
    .concat(files.filter(([path, { bytes }]) => sizeOf(join(folder, path)) !== bytes).map(([path]) => path));
  if (damaged[0]) {
    const bytes = sizeOf(join(folder, damaged[0]));
    const found = bytes === undefined ? 'is missing' : `has ${bytes} bytes and not those of ${libraryFiles.manifest}`;
    return { problem: `${join(folder, damaged[0])} ${found}`, cure: install };
  }
  const glibc = glibcVersion();
  if (glibc && isOlder(glibc, manifest.glibc))
    return {
      problem: `${folder} needs glibc ${manifest.glibc}, and this machine has ${glibc}`,
      cure: `${install}, which compiles for this machine, or use the wasm backend, which needs nothing`,
    };
  return undefined;
}

/** Whether the binding is known to run on this release of TensorFlow. */
export function acceptsRelease(version: string): boolean {
  const release = version.split('.').slice(0, 2).join('.');
  return (
    /^\d+\.\d+$/.test(release) &&
    !isOlder(release, tensorflowReleases.oldest) &&
    !isOlder(tensorflowReleases.newest, release)
  );
}

/** Why there is no native TensorFlow for this kind of machine, where there is none. */
export function unsupportedPlatform(): { problem: string; cure: string } | undefined {
  const cure = 'use the wasm backend, which needs nothing';
  const { platform, arch } = process;
  if (platform !== 'linux' || !['x64', 'arm64'].includes(arch))
    return { problem: `native TensorFlow runs on Linux x64 and arm64, and this is ${platform} ${arch}`, cure };
  if (!glibcVersion())
    return { problem: 'native TensorFlow needs glibc, and this Linux has another C library (musl)', cure };
  return undefined;
}

let glibc: string | undefined | null = null;

/** Release of the C library, undefined where it is not glibc. */
function glibcVersion(): string | undefined {
  if (glibc === null) {
    const { report } = process;
    (report as { excludeNetwork?: boolean }).excludeNetwork = true; // a report would look up names of hosts
    glibc = (report.getReport() as { header: { glibcVersionRuntime?: string } }).header.glibcVersionRuntime;
  }
  return glibc;
}

/** Whether release a comes before release b, number by number. */
export function isOlder(a: string, b: string): boolean {
  const [left, right] = [a, b].map((release) => release.split('.').map(Number));
  const at = right!.findIndex((number, index) => (left![index] ?? 0) !== number);
  return at >= 0 && (left![at] ?? 0) < right![at]!;
}

function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}
