// Makes a checkout ready to run: installs packages and builds when that is due. The other scripts call it first, because
// npm's own hooks are off here (`ignore-scripts=true`). Needs nothing but Node and npm.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** The root of the checkout. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Runs a program in the checkout with its output on our stderr, or on stdout where asked; returns its exit status. */
export function run(program, args, { output = 2, env = {} } = {}) {
  const { status, error } = spawnSync(program, args, {
    cwd: root,
    env: { ...process.env, NX_DAEMON: 'false', NX_TUI: 'false', NX_NO_CLOUD: 'true', ...env },
    stdio: ['ignore', output, 2],
  });
  if (error) process.stderr.write(`cannot run ${program}: ${error.message}\n`);
  return status ?? 1;
}

/** Runs nx; returns its exit status. */
export const nx = (args, options) =>
  run(process.execPath, [join(root, 'node_modules/nx/dist/bin/nx.js'), ...args], options);

/** The first package that the lock file asks for and node_modules does not hold, or undefined. */
function missingPackage() {
  const installed = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(installed)) return 'node_modules';
  const has = JSON.parse(readFileSync(installed, 'utf8')).packages;
  const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
  return Object.keys(wanted).find((path) => {
    const { version, integrity, link, optional } = wanted[path];
    if (!path.startsWith('node_modules/') && !path.includes('/node_modules/')) return false;
    if (!has[path]) return !optional; // another platform's binary
    if (!existsSync(join(root, path))) return true;
    return !link && (has[path].version !== version || has[path].integrity !== integrity);
  });
}

function install() {
  const missing = missingPackage();
  if (!missing) return;
  process.stderr.write(`installing packages (${missing} is missing or of another version) …\n`);
  const npm = process.env.npm_execpath;
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const status = npm?.endsWith('.js')
    ? run(process.execPath, [npm, ...args])
    : run(process.platform === 'win32' ? 'npm.cmd' : 'npm', args);
  if (status !== 0) throw new Error('npm ci failed: see above; it needs the network or a filled npm cache');
}

const builtFrom = join(root, 'node_modules/.cache/surefoot-built');

/**
 * Which files there are to build, of what size and age, and whether each project's output is there.
 *
 * nx writes the outputs of a build that it has in its cache once more, and a program that starts at that moment misses them: so it
 * is asked only where something has changed.
 */
function sourceState() {
  const hash = createHash('sha256');
  const add = (path, ignored = []) => {
    const stats = statSync(join(root, path));
    if (!stats.isDirectory()) return hash.update(`${path} ${stats.size} ${stats.mtimeMs}\n`);
    for (const name of readdirSync(join(root, path)).sort())
      if (!ignored.includes(name)) add(`${path}/${name}`, ignored);
  };
  for (const path of ['package-lock.json', 'nx.json', 'tsconfig.base.json', 'tsconfig.json']) add(path);
  for (const path of ['proto', 'libs', 'services']) add(path, ['dist', 'gen', 'node_modules']);
  const projects = ['libs', 'services'].flatMap((folder) =>
    readdirSync(join(root, folder)).map((name) => join(root, folder, name)),
  );
  for (const project of [join(root, 'proto'), ...projects])
    hash.update(`${existsSync(join(project, 'dist', 'tsconfig.tsbuildinfo'))}`);
  return hash.digest('hex');
}

const isBuilt = () => existsSync(builtFrom) && readFileSync(builtFrom, 'utf8') === sourceState();

/** Installs and, unless told not to, builds. @throws Error saying which of the two failed */
export function ensure({ build = true } = {}) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19))
    throw new Error(`Node ${process.versions.node} is too old: install Node 20.19 or newer`);
  install();
  if (!build || isBuilt()) return;
  process.stderr.write('building what has changed …\n');
  if (nx(['run-many', '-t', 'build', '--outputStyle=static', '--verbose=false']) !== 0)
    throw new Error('the build failed: see above');
  mkdirSync(dirname(builtFrom), { recursive: true });
  writeFileSync(builtFrom, sourceState());
}

/** Runs the body of a script; an error becomes one line on stderr and exit status 1. */
export async function main(body) {
  try {
    process.exitCode = await body();
  } catch (error) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(() => ensure());
