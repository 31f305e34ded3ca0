import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { openBackend } from '@surefoot/tensor';
import { createAdapter } from './adapter';
import { saveAdapter } from './adapter-folder';
import { adapterOriginNote } from './adapter-origin';
import { disposeModel } from './model';
import { saveModel } from './model-folder';
import { tinyModel, writeTokenizer } from './testing';

let root: string;
let adapter: string;
const at = (...path: string[]) => join(root, ...path);

beforeAll(async () => {
  await openBackend('wasm');
  root = await mkdtemp(join(tmpdir(), 'surefoot-origin-'));
  adapter = at('adapter');
  await writeTokenizer(root);
  for (const [name, seed] of [
    ['base', 1],
    ['tuned', 2],
  ] as const) {
    const model = tinyModel({}, seed);
    await mkdir(at(name));
    await saveModel(model, at(name), { tokenizerFolder: root });
    if (name === 'base') {
      const adapted = createAdapter(model, { r: 2 }, 1);
      await mkdir(adapter);
      await saveAdapter(adapted, adapter, { base: 'unsaid' });
      disposeModel(adapted);
    } else disposeModel(model);
  }
  await cp(at('base'), at('copy'), { recursive: true });
  await cp(at('base'), at('elsewhere', 'models--org--unsaid', 'snapshots', 'abc'), { recursive: true });
  await cp(at('base'), at('broken'), { recursive: true });
  await writeFile(at('broken', 'config.json'), '{');
});
afterAll(() => rm(root, { recursive: true, force: true }));

test.each([
  ['the model', '../base', 'base', true],
  ['a copy of the model', '../base', 'copy', true],
  ['a model of the same shapes with other weights', '../base', 'tuned', false],
  ['a folder that is no longer there, of the same name', '/once/base', 'base', true],
  ['a repository of the same name', 'org/base', 'base', true],
  ['a repository whose cache the model lies in', 'org/unsaid', 'elsewhere/models--org--unsaid/snapshots/abc', true],
  ['a repository of another name', 'org/tuned', 'base', false],
  ['a folder that is no sound model', '../broken', 'base', false],
])('an adapter that names %s', async (_, base, model, isSilent) => {
  const path = join(adapter, 'adapter_config.json');
  const config = JSON.parse(await readFile(path, 'utf8')) as object;
  await writeFile(path, JSON.stringify({ ...config, base_model_name_or_path: base }));
  expect(await adapterOriginNote(adapter, at(model))).toBe(
    isSilent ? undefined : `adapter ${adapter} says it was made for ${base}, not for ${at(model)}`,
  );
});
