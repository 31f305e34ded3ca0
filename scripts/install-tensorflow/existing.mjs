// The other way: the libraries of a Python TensorFlow that is already on the machine.
import { constants, cpSync, existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { sha256Of } from './download.mjs';
import { say } from './processes.mjs';

/**
 * What lies in the folder of a Python TensorFlow.
 *
 * @param given `site-packages/tensorflow`, or `site-packages`
 * @returns the folder `tensorflow` itself, its release, and whether it is a CUDA build
 * @throws Error saying what is missing
 */
export function existingTensorflow(given, libraries) {
  const folder = [resolve(given), resolve(given, 'tensorflow')].find((at) =>
    existsSync(join(at, 'include/tensorflow/c')),
  );
  if (!folder)
    throw new Error(
      `${given} is not the folder of a Python TensorFlow: neither it nor its tensorflow/ holds include/tensorflow/c. Find it with python3 -c 'import tensorflow; print(tensorflow.__path__[0])'`,
    );
  for (const library of libraries)
    if (!existsSync(join(dirname(folder), library)))
      throw new Error(`${folder} has no ${library.replace('tensorflow/', '')}: only releases from 2.15 on have it`);
  const version = releaseOf(folder);
  if (!version) throw new Error(`no tensorflow-RELEASE.dist-info lies beside ${folder}, so its release is not known`);
  const info = join(folder, 'python/platform/build_info.py');
  const isCuda = existsSync(info) && /'is_cuda_build', True|"is_cuda_build", True/.test(readFileSync(info, 'utf8'));
  return { folder, version, kind: isCuda ? 'gpu' : 'cpu' };
}

const releaseOf = (folder) =>
  readdirSync(dirname(folder))
    .map((name) => /^tensorflow(?:_cpu|_intel|_cpu_aws)?-(\d[^-]*)\.dist-info$/.exec(name)?.[1])
    .find(Boolean);

/** Copies what is needed. @returns the files with size and SHA-256 */
export async function copyInto(target, { folder, kind }, libraries) {
  const parent = dirname(folder);
  const hasCuda = kind === 'gpu' && existsSync(join(parent, 'nvidia'));
  if (kind === 'gpu' && !hasCuda)
    say(`no nvidia/ lies beside ${folder}: CUDA 12 is expected in the system's library path`);
  const names = [...libraries, ...(hasCuda ? cudaFiles(parent) : [])];
  say(`copying ${names.length} files from ${parent} …`);
  const files = {};
  for (const name of names) {
    const to = join(target, name);
    cpSync(join(parent, name), to, { dereference: true, mode: constants.COPYFILE_FICLONE });
    files[name] = { bytes: statSync(to).size, sha256: await sha256Of(to) };
  }
  return files;
}

/** Bytes that the copies will take. */
export const bytesOf = ({ folder, kind }, libraries) =>
  [...libraries, ...(kind === 'gpu' ? cudaFiles(dirname(folder)) : [])]
    .map((name) => statSync(join(dirname(folder), name)).size)
    .reduce((sum, bytes) => sum + bytes, 0);

function cudaFiles(parent) {
  if (!existsSync(join(parent, 'nvidia'))) return [];
  return readdirSync(join(parent, 'nvidia'), { recursive: true })
    .map((name) => join('nvidia', name))
    .filter((name) => statSync(join(parent, name)).isFile() && !/\/include\/|\.a$|\.pyc?$/.test(name));
}
