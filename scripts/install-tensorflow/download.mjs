// The wheel way: pip brings each pinned wheel, and what is needed of it is unpacked.
import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Unavailable } from './unavailable.mjs';
import { lastLines, runQuietly, say, showMegabytes } from './processes.mjs';

const unpackProgram = join(dirname(fileURLToPath(import.meta.url)), 'unpack.py');
// Of TensorFlow the two libraries, and the headers that the binding includes, which go again after the build.
const wanted = [
  'tensorflow/libtensorflow_cc.so.',
  'tensorflow/libtensorflow_framework.so.',
  'tensorflow/include/absl/base/options.h',
  'tensorflow/include/tensorflow/c/',
  'tensorflow/include/tensorflow/core/platform/ctstring',
  'tensorflow/include/tsl/platform/ctstring',
  'tensorflow/include/tsl/c/',
  'tensorflow/include/xla/tsl/c/',
  'nvidia/',
];

/**
 * Downloads wheels one after another and unpacks them into a folder.
 *
 * @returns the wheels' file names with their SHA-256, and the files with size and SHA-256
 */
export async function downloadInto(folder, wheels) {
  const written = { wheels: {}, files: {} };
  for (const wheel of wheels) {
    const scratch = join(folder, '.download');
    mkdirSync(scratch);
    const file = await download(wheel, scratch);
    say(`unpacking ${wheel.name} …`);
    const { status, stdout, stderr } = await runQuietly('python3', [
      unpackProgram,
      join(scratch, file),
      folder,
      ...wanted,
    ]);
    if (status !== 0) throw new Error(`cannot unpack ${file}: ${outOfSpace(stderr, folder) ?? lastLines(stderr)}`);
    written.wheels[file] = wheel.sha256;
    Object.assign(written.files, JSON.parse(stdout));
    rmSync(scratch, { recursive: true });
  }
  return written;
}

async function download({ name, version, sha256, megabytes }, scratch) {
  const requirements = join(scratch, 'requirements.txt');
  writeFileSync(requirements, `${name}==${version} --hash=sha256:${sha256}\n`);
  const args = ['-m', 'pip', 'download', '--disable-pip-version-check', '--progress-bar', 'off', '--retries', '3'];
  args.push(
    '--no-deps',
    '--only-binary=:all:',
    '--require-hashes',
    '--python-version',
    '3.11',
    '--implementation',
    'cp',
  );
  args.push('--dest', scratch, '--requirement', requirements);
  const stop = showMegabytes(`downloading ${name} ${version}`, megabytes, () => megabytesUnder(scratch));
  // pip's own scratch files lie here too, so that nothing is left elsewhere when this is cut.
  const { status, stdout, stderr } = await runQuietly('python3', args, { env: { TMPDIR: scratch } });
  stop();
  if (status !== 0) throw pipError(`${name} ${version}`, `${stdout}\n${stderr}`, scratch);
  const file = readdirSync(scratch).find((found) => found.endsWith('.whl'));
  if (!file) throw new Error(`pip brought no wheel of ${name} ${version}: ${lastLines(stdout) || 'it said nothing'}`);
  const found = await sha256Of(join(scratch, file));
  if (found !== sha256) throw new Error(wrongWheel(`${name} ${version}`, `it has SHA-256 ${found} and not ${sha256}`));
  return file;
}

// What pip writes when a connection fails, breaks off or takes too long, or when the index answers that it is overloaded.
const network =
  /NewConnectionError|Connect(?:ion)?Timeout|ReadTimeout|Connection(?:Reset|Aborted|Refused|Failed)|RemoteDisconnected|ProtocolError|IncompleteRead|incomplete-download|NameResolution|name resolution|Name or service not known|Network is unreachable|Max retries|ProxyError|SSLError|connection broken|Failed to connect|timed out|HTTP error (?:429|5\d\d)|\b(?:429 Client|5\d\d Server) Error|too many (?:429|5\d\d) error/i;

/** What pip's output means, and what to do. */
function pipError(what, output, folder) {
  const space = outOfSpace(output, folder);
  if (space) return new Error(`cannot download ${what}: ${space}`);
  if (/DO NOT MATCH THE HASHES/.test(output)) return new Error(wrongWheel(what, `pip says that its hash is another`));
  if (network.test(output))
    return new Unavailable(
      `cannot download ${what}: the package index cannot be reached. Check the network and pip's proxy and index (python3 -m pip config list), or name the folder of a Python TensorFlow with --from\n${lastLines(output, 2)}`,
    );
  if (/No matching distribution/.test(output))
    return new Error(
      `pip finds no wheel of ${what} for this machine: the index has none (python3 -m pip config list), the C library is older than glibc 2.27, or pip is too old (python3 -m pip --version, 20.3 at least)\n${lastLines(output, 2)}`,
    );
  return new Error(`pip could not download ${what}:\n${lastLines(output)}`);
}

const wrongWheel = (what, problem) =>
  `the wheel of ${what} is not the one that is pinned: ${problem}. An index or a cache serves something else: look at python3 -m pip config list, try python3 -m pip cache purge`;

const outOfSpace = (output, folder) =>
  /No space left on device|ENOSPC|Errno 28/.test(output)
    ? `no space is left on the disk of ${folder}: make room, or set SUREFOOT_TENSORFLOW_DIR to another disk`
    : undefined;

/** SHA-256 of a file, in hexadecimal. */
export async function sha256Of(path) {
  const digest = createHash('sha256');
  for await (const block of createReadStream(path, { highWaterMark: 1 << 20 })) digest.update(block);
  return digest.digest('hex');
}

function megabytesUnder(folder) {
  let bytes = 0;
  for (const entry of readdirSync(folder, { recursive: true }))
    bytes = Math.max(bytes, statSync(join(folder, entry), { throwIfNoEntry: false })?.size ?? 0);
  return Math.round(bytes / 1e6);
}
