import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  acceptsRelease,
  hasTensorflow,
  inspectTensorflow,
  isOlder,
  libraryFiles,
  tensorflowFolder,
  type Manifest,
} from './native-library';

const before = process.env['SUREFOOT_TENSORFLOW_DIR'];
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tensorflow-'));
  process.env['SUREFOOT_TENSORFLOW_DIR'] = folder;
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
  if (before === undefined) delete process.env['SUREFOOT_TENSORFLOW_DIR'];
  else process.env['SUREFOOT_TENSORFLOW_DIR'] = before;
});

/** Files of the right names with three bytes each, and a manifest that says so. */
function install(changes: Partial<Manifest> = {}): void {
  const names = [libraryFiles.binding, libraryFiles.settings, ...libraryFiles.libraries];
  for (const name of names) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), 'abc');
  }
  const manifest: Manifest = {
    tensorflow: '2.21.0',
    kind: 'cpu',
    platform: `${process.platform}-${process.arch}`,
    glibc: '2.27',
    addons: '',
    wheels: {},
    files: Object.fromEntries(names.map((name) => [name, { bytes: 3, sha256: '' }])),
    ...changes,
  };
  writeFileSync(join(folder, libraryFiles.manifest), JSON.stringify(manifest));
}

describe('inspectTensorflow', () => {
  test('finds nothing wrong with a finished installation', () => {
    install();
    expect(inspectTensorflow()).toEqual({ folder, installed: true, version: '2.21.0', kind: 'cpu' });
    expect(hasTensorflow()).toBe(true);
  });

  test('says how to install where there is nothing', () => {
    rmSync(folder, { recursive: true });
    expect(inspectTensorflow()).toEqual({
      folder,
      installed: false,
      problem: 'native TensorFlow is not installed',
      cure: 'run npm run install:tensorflow',
    });
    expect(hasTensorflow()).toBe(false);
  });

  test.each([
    ['a folder without a manifest', () => {}, /holds no finished installation/],
    [
      'a manifest that is cut off',
      () => writeFileSync(join(folder, 'manifest.json'), '{"tensorflow"'),
      /holds no finished installation/,
    ],
    ...['null', '[]', '{}', '{"files":{}}'].map((text): [string, () => void, RegExp] => [
      `a manifest that is ${text}`,
      () => writeFileSync(join(folder, 'manifest.json'), text),
      /holds no finished installation .*: its manifest\.json is missing or not one/,
    ]),
    [
      'a release that is not known to work',
      () => install({ tensorflow: '2.14.1' }),
      /TensorFlow 2\.14\.1, and 2\.15 to 2\.21/,
    ],
    ['another platform', () => install({ platform: 'linux-riscv64' }), /for linux-riscv64, and this is/],
    ['a glibc that is too old', () => install({ glibc: '3.1' }), /needs glibc 3\.1, and this machine has 2\./],
    ['a manifest that lists no libraries', () => install({ files: {} }), /tfjs_binding\.node has 3 bytes/],
    [
      'a library that is missing',
      () => {
        install();
        rmSync(join(folder, libraryFiles.libraries[0]!));
      },
      /libtensorflow_cc\.so\.2 is missing/,
    ],
    [
      'a library of another size',
      () => {
        install();
        writeFileSync(join(folder, libraryFiles.libraries[1]!), 'ab');
      },
      /libtensorflow_framework\.so\.2 has 2 bytes and not those of manifest\.json/,
    ],
  ])('tells %s, and what to do', (_, make, problem) => {
    make();
    expect(inspectTensorflow()).toMatchObject({
      problem: expect.stringMatching(problem),
      cure: expect.stringMatching(/./),
    });
    expect(hasTensorflow()).toBe(false);
  });

  test('names wasm where there is no native TensorFlow for the platform', () => {
    install();
    const { platform } = process;
    Object.defineProperty(process, 'platform', { value: 'darwin' });
    try {
      expect(inspectTensorflow()).toMatchObject({
        installed: false,
        problem: expect.stringMatching(/runs on Linux x64 and arm64, and this is darwin/),
        cure: 'use the wasm backend, which needs nothing',
      });
    } finally {
      Object.defineProperty(process, 'platform', { value: platform });
    }
  });
});

test('the folder is that of SUREFOOT_TENSORFLOW_DIR, else of the cache', () => {
  expect(tensorflowFolder()).toBe(folder);
  process.env['SUREFOOT_TENSORFLOW_DIR'] = `${folder}//`;
  expect(tensorflowFolder()).toBe(folder);
  process.env['SUREFOOT_TENSORFLOW_DIR'] = 'some/where/';
  expect(tensorflowFolder()).toBe(join(process.cwd(), 'some/where'));
  process.env['SUREFOOT_TENSORFLOW_DIR'] = '';
  expect(tensorflowFolder()).toMatch(/\/surefoot\/tensorflow$/);
});

test('releases are compared number by number', () => {
  expect(isOlder('2.9', '2.15')).toBe(true);
  expect(isOlder('2.15', '2.9')).toBe(false);
  expect(isOlder('2.27', '2.27')).toBe(false);
  expect(['2.14.1', '2.15.0', '2.21.0', '2.22.0', '2.21.0rc1', '1.15', '3', 'x'].filter(acceptsRelease)).toEqual([
    '2.15.0',
    '2.21.0',
    '2.21.0rc1',
  ]);
});
