import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { spawn, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { libraryFiles } from './native-library';

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

/** An installation that was copied to the folder, of the right names and a byte each, and more in its manifest. */
function copied(changes: object = {}, more: object = {}): void {
  const names = [libraryFiles.binding, libraryFiles.settings, ...libraryFiles.libraries];
  mkdirSync(join(folder, 'tensorflow'), { recursive: true });
  for (const name of names) writeFileSync(join(folder, name), '1');
  const manifest = {
    ...{ tensorflow: '2.21.0', kind: 'cpu', platform: `${process.platform}-${process.arch}`, glibc: '2.27' },
    files: { ...Object.fromEntries(names.map((name) => [name, { bytes: 1 }])), ...more },
    ...changes,
  };
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify(manifest));
}

const sidesteps = () => readdirSync(join(home, 'cache')).filter((name) => name !== 'tensorflow');

describe('install:tensorflow says what is missing and what to do', () => {
  test('python3 and a compiler, both at once', () => {
    const { status, stderr } = install();
    expect(status).toBe(69);
    expect(stderr).toMatch(/no python3 was found: apt-get install python3 python3-pip/);
    expect(stderr).toMatch(/no C\+\+ compiler was found: apt-get install g\+\+ .* or dnf install gcc-c\+\+/);
    expect(existsSync(join(home, 'cache'))).toBe(false);
  });

  test('pip', () => {
    program('python3', '[ "$1" = --version ]');
    program('g++', 'exit 0');
    const { status, stderr } = install();
    expect(status).toBe(69);
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
    expect(status).toBe(69);
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
      69,
    ],
    [
      'a network that fails for a moment, after which pip finds nothing',
      `echo "WARNING: Retrying (Retry(total=0)) after connection broken by 'ReadTimeoutError(read timed out)'" >&2
       echo "ERROR: No matching distribution found for tensorflow" >&2; exit 1`,
      /the package index cannot be reached/,
      69,
    ],
    [
      'a connection that breaks off',
      `echo "ProtocolError('Connection broken: IncompleteRead(5 bytes read)')" >&2; exit 2`,
      /the package index cannot be reached/,
      69,
    ],
    [
      'an index that is overloaded',
      'echo "ERROR: HTTP error 503 while getting https://index/tensorflow.whl" >&2; exit 1',
      /the package index cannot be reached/,
      69,
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
  ])('%s', (_, download, problem, exitStatus = 1) => {
    python(download);
    const old = oldInstallation();
    const { status, stderr } = install();
    expect(status).toBe(exitStatus);
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
    expect(install(['--uninstall']).stderr).toMatch(
      /holds no manifest\.json of an installation: .* nothing was removed/,
    );
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

test('what a program writes after a signal is not left either', async () => {
  program('g++', 'exit 0');
  const found = spawnSync('which', ['sleep', 'mkdir'], { encoding: 'utf8' }).stdout.split('\n');
  python(`trap '${found[0]} 0.3; ${found[1]} -p "$dest/late"; exit 1' TERM
echo > ${home}/pip; while :; do ${found[0]} 0.05; done`);
  const child = spawn(process.execPath, [command], { env: environment(), stdio: 'ignore' });
  while (!existsSync(join(home, 'pip'))) await sleep(20);
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  expect(await exited).toEqual([130, null]);
  await sleep(600);
  expect(sidesteps()).toEqual([]);
});

test('an installation is not removed whose installer ends while others are looked at', () => {
  const name = `tensorflow.${hostname()}.4321.${'0'.repeat(8)}`;
  mkdirSync(join(home, 'cache', name), { recursive: true });
  // The installer 4321 puts its folder in place and ends, in the moment in which somebody asks whether it lives.
  const body = `
    import { symlinkSync } from 'node:fs';
    import { beginBeside } from ${JSON.stringify(join(scripts, 'install-tensorflow/folder.mjs'))};
    process.kill = () => {
      symlinkSync(${JSON.stringify(name)}, ${JSON.stringify(folder)});
      throw Object.assign(new Error(), { code: 'ESRCH' });
    };
    beginBeside(${JSON.stringify(folder)});`;
  expect(spawnSync(process.execPath, ['--input-type=module', '--eval', body]).status).toBe(0);
  expect(existsSync(join(folder, '.'))).toBe(true);
});

test('the glibc that is needed is the newest that a library names', async () => {
  const library = join(home, 'library.so');
  // The second name lies across the border of the blocks of 4 MiB that are read.
  const names = Buffer.alloc(2 ** 22 + 100);
  names.write('\0GLIBC_2.9\0', 50, 'latin1');
  names.write('\0GLIBC_2.17\0GLIBC_2.2.5\0GLIBC_PRIVATE\0', 2 ** 22 - 5, 'latin1');
  writeFileSync(library, names);
  const body = `
    import { neededGlibc } from ${JSON.stringify(join(scripts, 'install-tensorflow/needed-glibc.mjs'))};
    console.log(await neededGlibc([${JSON.stringify(library)}]));`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', body], { encoding: 'utf8' });
  expect(stdout).toBe('2.17\n');
});

describe('an installation is there already', () => {
  const hash = () => {
    const body = `
      import { hashOfSources } from ${JSON.stringify(join(scripts, 'install-tensorflow/build-addons.mjs'))};
      import { wheelsOf } from ${JSON.stringify(join(scripts, 'install-tensorflow/wheels.mjs'))};
      const wheels = wheelsOf(process.platform + '-' + process.arch, 'cpu');
      console.log(JSON.stringify({ addons: hashOfSources(${JSON.stringify(resolve(scripts, '..'))}), sha256: wheels[0].sha256 }));`;
    const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', body], { encoding: 'utf8' });
    return JSON.parse(stdout) as { addons: string; sha256: string };
  };

  test.each([
    ['of the same sources and wheels', {}, true],
    ['with a slash at the end of its name', {}, true],
    ['of other sources', { addons: '0' }, false],
    ['of another wheel', { wheels: { 'x.whl': '0' } }, false],
    ['from a Python TensorFlow', { wheels: undefined }, true],
  ])('%s', (name, changes, isCurrent) => {
    const { addons, sha256: pinned } = hash();
    copied({ addons, wheels: { 'x.whl': pinned }, ...changes });
    const { status, stderr } = install([], name.includes('slash') ? { SUREFOOT_TENSORFLOW_DIR: `${folder}//` } : {});
    if (isCurrent)
      expect({ status, stderr }).toEqual({
        status: 0,
        stderr: `TensorFlow 2.21.0 (cpu) is already installed in ${folder}\n`,
      });
    else expect(status).toBe(69);
  });
});

test.each([
  [0, 0, 'checked\n'],
  [69, 0, 'checked\n'],
  [1, 1, ''],
])('.ci/run, where the command ends with %d, ends with %d', (ofCommand, status, stdout) => {
  mkdirSync(join(home, '.ci'));
  mkdirSync(join(home, 'scripts'));
  copyFileSync(resolve(scripts, '../.ci/run'), join(home, '.ci/run'));
  writeFileSync(join(home, 'scripts/install-tensorflow.mjs'), `process.exit(${ofCommand})`);
  writeFileSync(join(home, 'scripts/check.mjs'), `console.log('checked')`);
  program('id', 'echo 1000');
  symlinkSync(process.execPath, join(programs, 'node'));
  symlinkSync(spawnSync('which', ['dirname'], { encoding: 'utf8' }).stdout.trim(), join(programs, 'dirname'));
  const ended = spawnSync('/bin/bash', [join(home, '.ci/run')], { env: environment(), encoding: 'utf8' });
  expect({ status: ended.status, stdout: ended.stdout }).toEqual({ status, stdout });
});

test('whoever is killed while replacing an installation leaves one that is whole', async () => {
  const body = `
    import { writeFileSync } from 'node:fs';
    import { beginBeside, putInPlace } from ${JSON.stringify(join(scripts, 'install-tensorflow/folder.mjs'))};
    for (let round = 0; ; round += 1) {
      const beside = beginBeside(${JSON.stringify(folder)});
      writeFileSync(beside + '/manifest.json', 'whole');
      putInPlace(${JSON.stringify(folder)}, beside);
      if (round === 0) console.log('replacing');
    }`;
  for (const ms of [0, 1, 3, 7, 15, 2, 5, 11]) {
    const children = [0, 1].map(() =>
      spawn(process.execPath, ['--input-type=module', '--eval', body], { stdio: ['ignore', 'pipe', 'ignore'] }),
    );
    await Promise.all(children.map((child) => once(child.stdout!, 'data')));
    await sleep(ms);
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
    copied({}, { '../../kept.txt': { bytes: 0 }, 'linked/kept.txt': { bytes: 0 } });
    mkdirSync(join(folder, 'empty'));
    writeFileSync(join(folder, 'letter.txt'), 'dear');
    writeFileSync(join(home, 'kept.txt'), '');
    symlinkSync(home, join(folder, 'linked'));
    expect(install(['--uninstall']).status).toBe(0);
    expect(readdirSync(folder).sort()).toEqual(['empty', 'letter.txt', 'linked']);
    expect(existsSync(join(home, 'kept.txt'))).toBe(true);
  });

  test('removes all of an installation that a slash ends, or a path from where it is called', () => {
    for (const given of [`${folder}/`, 'cache/../cache/tensorflow/']) {
      oldInstallation();
      const options = { env: environment({ SUREFOOT_TENSORFLOW_DIR: given }), cwd: home };
      expect(spawnSync(process.execPath, [command, '--uninstall'], options).status).toBe(0);
      expect(readdirSync(join(home, 'cache'))).toEqual([]);
    }
  });

  test.each([
    ['the manifest of something else', '{"files":{"main.js":{"bytes":1}}}'],
    ['one without files', '{"name":"page"}'],
    ['one that is no object', 'null'],
  ])('refuses a folder with %s', (_, manifest) => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'main.js'), '1');
    writeFileSync(join(folder, 'manifest.json'), manifest);
    const { status, stderr } = install(['--uninstall']);
    expect(status).toBe(1);
    expect(stderr).toMatch(/holds no manifest\.json of an installation: it is none, so nothing was removed/);
    expect(readdirSync(folder)).toEqual(['main.js', 'manifest.json']);
  });

  test('leaves a link that somebody else made', () => {
    mkdirSync(join(home, 'cache'));
    symlinkSync(programs, folder);
    const { status, stderr } = install(['--uninstall']);
    expect(status).toBe(1);
    expect(stderr).toMatch(/is a link to .*bin that npm run install:tensorflow did not make, so nothing was removed/);
    expect(existsSync(folder)).toBe(true);
  });

  test('goes with no other flag; --help shows all', () => {
    expect(install(['--uninstall', '--gpu']).stderr).toBe('--uninstall goes with no other flag\n');
    expect(install(['--from=']).stderr).toBe('--from needs the folder of a Python TensorFlow\n');
    expect(install(['--nonsense']).stderr).toMatch(/^Unknown option '--nonsense'/);
    const help = install(['--help']);
    expect(help.status).toBe(0);
    for (const word of ['--gpu', '--from', '--force', '--uninstall', 'SUREFOOT_TENSORFLOW_DIR', 'CXX'])
      expect(help.stdout).toContain(word);
  });
});
