import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { spawn, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

// The install command as a real process, on machines that lack this or that: PATH holds only what a test puts there.
const scripts = resolve(__dirname, '../../../../scripts');
const command = join(scripts, 'install-tensorflow.mjs');
let home: string;
let programs: string;
let folder: string;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'install-'));
  programs = join(home, 'bin');
  folder = join(home, 'cache', 'tensorflow');
  mkdirSync(programs);
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

const environment = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => {
  return { ...process.env, CXX: undefined, PATH: programs, SUREFOOT_TENSORFLOW_DIR: folder, ...more };
};

function install(flags: string[] = [], more: NodeJS.ProcessEnv = {}): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, [command, ...flags], { env: environment(more), encoding: 'utf8' });
}

/** A shell program on PATH. */
function program(name: string, body: string): void {
  writeFileSync(join(programs, name), `#!/bin/sh\n${body}\n`);
  chmodSync(join(programs, name), 0o755);
}

/** A python3 whose pip does what the body says, with the folder of the download in $dest. */
function python(download: string): void {
  program(
    'python3',
    `[ "$1 $2 $3" = "-m pip download" ] || exit 0
while [ $# -gt 0 ]; do [ "$1" = --dest ] && dest=$2; shift; done
${download}`,
  );
}

/** An installation as the command leaves it, of files that are none. */
function oldInstallation(): string {
  const name = `tensorflow.host.1.${'0'.repeat(8)}`;
  mkdirSync(join(home, 'cache', name), { recursive: true });
  writeFileSync(join(home, 'cache', name, 'manifest.json'), '{"tensorflow":"2.15.0"}');
  symlinkSync(name, folder);
  return name;
}

const sidesteps = () => readdirSync(join(home, 'cache')).filter((name) => name !== 'tensorflow');

describe('install:tensorflow says what is missing and what to do', () => {
  test('python3 and a compiler, both at once', () => {
    const { status, stderr } = install();
    expect(status).toBe(1);
    expect(stderr).toMatch(/no python3 was found: apt-get install python3 python3-pip/);
    expect(stderr).toMatch(/no C\+\+ compiler was found: apt-get install g\+\+ .* or dnf install gcc-c\+\+/);
    expect(existsSync(join(home, 'cache'))).toBe(false);
  });

  test('pip', () => {
    program('python3', '[ "$1" = --version ]');
    program('g++', 'exit 0');
    const { status, stderr } = install();
    expect(status).toBe(1);
    expect(stderr).toMatch(/^no pip was found: apt-get install python3-pip .*--from/);
  });

  test('a compiler that CXX names and that does not run', () => {
    program('g++', 'exit 0');
    python('exit 1');
    expect(install([], { CXX: 'no-such-compiler' }).stderr).toMatch(/^no C\+\+ compiler was found/);
  });

  test('a C library that TensorFlow is not made for', () => {
    const stub = join(home, 'musl.cjs');
    writeFileSync(stub, 'process.report.getReport = () => ({ header: {} });');
    const { status, stderr } = install([], { NODE_OPTIONS: `--require=${stub}` });
    expect(status).toBe(1);
    expect(stderr).toMatch(/needs glibc, and this Linux has another .*: use the wasm backend, which needs nothing/);
  });

  test.each([
    ['is-no-folder', [], /is-no-folder is not the folder of a Python TensorFlow/],
    ['2.14.0', ['2.14.0'], /is TensorFlow 2\.14\.0: 2\.15 to 2\.21 are known to work/],
    ['unknown', [''], /no tensorflow-RELEASE\.dist-info lies beside/],
  ])('--from a folder that does not serve: %s', (name, releases, problem) => {
    const site = join(home, name);
    for (const release of releases) {
      mkdirSync(join(site, 'tensorflow/include/tensorflow/c'), { recursive: true });
      for (const library of ['cc', 'framework'])
        writeFileSync(join(site, `tensorflow/libtensorflow_${library}.so.2`), '');
      if (release) mkdirSync(join(site, `tensorflow-${release}.dist-info`));
    }
    const { status, stderr } = install(['--from', site]);
    expect(status).toBe(1);
    expect(stderr).toMatch(problem);
  });

  test('--gpu with a CPU build', () => {
    const site = join(home, 'site');
    mkdirSync(join(site, 'tensorflow/include/tensorflow/c'), { recursive: true });
    for (const library of ['cc', 'framework'])
      writeFileSync(join(site, `tensorflow/libtensorflow_${library}.so.2`), '');
    mkdirSync(join(site, 'tensorflow_cpu-2.20.0.dist-info'));
    expect(install(['--gpu', '--from', site]).stderr).toMatch(/is a CPU build of TensorFlow 2\.20\.0: leave out --gpu/);
  });
});

describe('install:tensorflow that fails leaves what was there', () => {
  beforeEach(() => program('g++', 'exit 0'));

  test.each([
    [
      'a wheel of another hash',
      'echo wrong > "$dest/tensorflow-2.21.0-x.whl"',
      /is not the one that is pinned: it has SHA-256 [0-9a-f]{64} and not [0-9a-f]{64}/,
    ],
    [
      'a hash that pip refuses',
      'echo "THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE" >&2; exit 1',
      /is not the one that is pinned: pip says/,
    ],
    ['a pip that brings nothing', 'exit 0', /pip brought no wheel/],
    [
      'no network',
      'echo "NewConnectionError: Temporary failure in name resolution" >&2; exit 1',
      /the package index cannot be reached/,
    ],
    [
      'an index without it',
      'echo "ERROR: No matching distribution found for tensorflow" >&2; exit 1',
      /pip finds no wheel of tensorflow/,
    ],
    [
      'a full disk',
      'echo "OSError: [Errno 28] No space left on device" >&2; exit 1',
      /no space is left on the disk .*SUREFOOT_TENSORFLOW_DIR/,
    ],
  ])('%s', (_, download, problem) => {
    python(download);
    const old = oldInstallation();
    const { status, stderr } = install();
    expect(status).toBe(1);
    expect(stderr).toMatch(problem);
    expect(sidesteps()).toEqual([old]);
    expect(readFileSync(join(folder, 'manifest.json'), 'utf8')).toBe('{"tensorflow":"2.15.0"}');
  });

  test('too little room on the disk, before anything is downloaded', () => {
    python('exit 1');
    const stub = join(home, 'full.cjs');
    writeFileSync(
      stub,
      "require('fs').statfsSync = () => ({ bavail: 1e6, bsize: 100 }); require('module').syncBuiltinESMExports();",
    );
    const { status, stderr } = install([], { NODE_OPTIONS: `--require=${stub}` });
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /^1\.4 GB are needed while installing, and the disk of .* has 0\.1 GB free: .*SUREFOOT_TENSORFLOW_DIR/,
    );
    expect(existsSync(join(home, 'cache'))).toBe(false);
  });

  test('a place that cannot be written', () => {
    python('exit 1');
    writeFileSync(join(home, 'cache'), 'a file');
    const { status, stderr } = install();
    expect(status).toBe(1);
    expect(stderr).toMatch(/^cannot write in .*: ENOTDIR.*; set SUREFOOT_TENSORFLOW_DIR to a place that you may write/);
  });

  test('something else that lies there', () => {
    python('exit 0');
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'letter.txt'), 'dear');
    expect(install().stderr).toMatch(/is a folder that npm run install:tensorflow did not make/);
    expect(install(['--uninstall']).stderr).toMatch(/holds no manifest\.json: .* nothing was removed/);
    expect(readFileSync(join(folder, 'letter.txt'), 'utf8')).toBe('dear');
  });

  test.each(['SIGKILL', 'SIGTERM'] as const)('%s while it downloads, and the next one clears up', async (signal) => {
    // The shell gives way to sleep, so that this is the process to end.
    python(`echo $$ > ${home}/pip; exec ${spawnSync('which', ['sleep'], { encoding: 'utf8' }).stdout.trim()} 60`);
    const old = oldInstallation();
    const child = spawn(process.execPath, [command], { env: environment(), stdio: 'ignore' });
    while (!existsSync(join(home, 'pip'))) await sleep(20);
    await sleep(50);
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
    if (signal === 'SIGKILL') process.kill(Number(readFileSync(join(home, 'pip'), 'utf8')));
    expect(sidesteps()).toHaveLength(signal === 'SIGKILL' ? 2 : 1);
    expect(readFileSync(join(folder, 'manifest.json'), 'utf8')).toBe('{"tensorflow":"2.15.0"}');
    python('exit 1');
    expect(install().status).toBe(1);
    expect(sidesteps()).toEqual([old]);
  });
});

test('whoever is killed while replacing an installation leaves one that is whole', async () => {
  const body = `
    import { writeFileSync } from 'node:fs';
    import { beginBeside, putInPlace } from ${JSON.stringify(join(scripts, 'install-tensorflow/folder.mjs'))};
    for (;;) {
      const beside = beginBeside(${JSON.stringify(folder)});
      writeFileSync(beside + '/manifest.json', 'whole');
      putInPlace(${JSON.stringify(folder)}, beside);
    }`;
  for (const ms of [0, 1, 3, 7, 15, 2, 5, 11]) {
    const children = [0, 1].map(() =>
      spawn(process.execPath, ['--input-type=module', '--eval', body], { stdio: 'ignore' }),
    );
    while (!existsSync(folder)) await sleep(1);
    await sleep(150 + ms);
    const exited = Promise.all(children.map((child) => once(child, 'exit')));
    for (const child of children) expect(child.kill('SIGKILL')).toBe(true);
    await exited;
    expect(readFileSync(join(folder, 'manifest.json'), 'utf8')).toBe('whole');
  }
});

describe('install:tensorflow --uninstall', () => {
  test('removes the installation and what dead installers left, and nothing else', () => {
    oldInstallation();
    mkdirSync(join(home, 'cache', 'tensorflow-of-mine'));
    const { status, stderr } = install(['--uninstall']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: `removed native TensorFlow from ${folder}\n` });
    expect(readdirSync(join(home, 'cache'))).toEqual(['tensorflow-of-mine']);
    expect(install(['--uninstall']).stderr).toMatch(/^nothing to remove/);
  });

  test('removes of a folder that was copied there what its manifest lists', () => {
    mkdirSync(join(folder, 'tensorflow'), { recursive: true });
    writeFileSync(join(folder, 'tensorflow/library.so'), '');
    writeFileSync(join(folder, 'letter.txt'), 'dear');
    const files = { 'tensorflow/library.so': {}, '../../kept.txt': {} };
    writeFileSync(join(home, 'kept.txt'), '');
    writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ files }));
    expect(install(['--uninstall']).status).toBe(0);
    expect(readdirSync(folder)).toEqual(['letter.txt']);
    expect(existsSync(join(home, 'kept.txt'))).toBe(true);
  });

  test('goes with no other flag; --help shows all', () => {
    expect(install(['--uninstall', '--gpu']).stderr).toBe('--uninstall goes with no other flag\n');
    expect(install(['--nonsense']).stderr).toMatch(/^Unknown option '--nonsense'/);
    const help = install(['--help']);
    expect(help.status).toBe(0);
    for (const word of ['--gpu', '--from', '--force', '--uninstall', 'SUREFOOT_TENSORFLOW_DIR', 'CXX'])
      expect(help.stdout).toContain(word);
  });
});
