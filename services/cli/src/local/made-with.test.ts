import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { keptTo, madeWith } from './made-with';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'surefoot-made-'));
});
afterEach(() => rm(folder, { recursive: true }));

const options = { file: 'made.json', defaults: { runs: 3, seeds: [1, 2], backend: 'auto' } };
const note = () => readFile(join(folder, 'made.json'), 'utf8').then(JSON.parse);
const makeTask = () => mkdir(join(folder, 'task'));

test('before there is a task the latest choice holds; from then on it is kept to, and anything else refused', async () => {
  const chosen = { runs: 5, seeds: [1, 2], backend: 'auto' };
  expect(await madeWith(folder, { backend: 'wasm' }, options)).toMatchObject({ runs: 3, backend: 'wasm' });
  expect(await madeWith(folder, { runs: 5, backend: undefined }, options)).toEqual(chosen);
  await makeTask();
  expect(await madeWith(folder, {}, options)).toEqual(chosen);
  expect(await madeWith(folder, { runs: 5, seeds: [1, 2] }, options)).toEqual(chosen);
  const shown = (name: string) => `--${name}`;
  await expect(madeWith(folder, { runs: 4, seeds: [2], backend: 'wasm' }, { ...options, shown })).rejects.toMatchObject(
    {
      kind: 'failed_precondition',
      message: `${folder} was made with --runs 5, not 4; --seeds [1,2], not [2]; --backend auto, not wasm: keep to that, or choose another folder`,
    },
  );
  expect(await note()).toEqual(chosen);
});

test('what is only read is compared the same way, and nothing is noted', async () => {
  expect(await keptTo(folder, { runs: 5 }, options)).toEqual({ ...options.defaults, runs: 5 });
  expect(await readdir(folder)).toEqual([]);
  await madeWith(folder, { runs: 4 }, options);
  await makeTask();
  await expect(keptTo(folder, { runs: 5 }, options)).rejects.toThrow('was made with runs 4, not 5:');
  expect(await note()).toEqual({ ...options.defaults, runs: 4 });
});

test.each(['null', '[]', '7', '{"runs": 3}', '{"runs": "3", "seeds": [1], "backend": "auto"}'])(
  'a note of another form is refused: %s',
  async (content) => {
    await makeTask();
    await writeFile(join(folder, 'made.json'), content);
    await expect(madeWith(folder, {}, options)).rejects.toMatchObject({
      kind: 'failed_precondition',
      message: `${join(folder, 'made.json')} is damaged, or of another release: choose another folder`,
    });
    expect(await readFile(join(folder, 'made.json'), 'utf8')).toBe(content);
  },
);
