import { existsSync, statSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { readPairs } from '@surefoot/preference';
import { openBackend } from '@surefoot/tensor';
import { disposeEnsemble, loadEnsemble } from './ensemble';
import { fitEnsemble } from './fit-ensemble';
import { importEnsemble } from './import-ensemble';
import { scoreSequences } from './score-sequences';
import { writeBuiltinTask } from './write-builtin-task';

let root: string;
let base: string;
let out: string;
let count = 0;
const fitted = (kind: string, k: number) => join(root, kind, `member-${k}`);

beforeAll(async () => {
  await openBackend('wasm');
  root = await mkdtemp(join(tmpdir(), 'surefoot-import-'));
  base = join(root, 'task', 'base');
  const baseTraining = { sentences: 100, steps: 5, batchSize: 16 };
  await writeBuiltinTask(join(root, 'task'), { dataSeed: 3, pairs: 8, judgePairs: 4, baseTraining });
  const { pairs } = await readPairs([join(root, 'task', 'pairs.jsonl')]);
  for (const kind of ['full', 'adapters', 'heads'] as const)
    await fitEnsemble({ kind, base, pairs, members: 2, seed: 1, out: join(root, kind), name: kind, epochs: 1 });
}, 60_000);
beforeEach(() => {
  out = join(root, `out-${(count += 1)}`);
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function scoresOf(folder: string) {
  const ensemble = await loadEnsemble(folder);
  const scores = await scoreSequences(ensemble, [Int32Array.of(0, 2, 3), Int32Array.of(5, 6, 7, 8, 1)]);
  disposeEnsemble(ensemble);
  return scores;
}

test.each(['full', 'adapters', 'heads'] as const)(
  'members of %s become an ensemble that scores as they do',
  async (kind) => {
    const members = [0, 1].map((k) => fitted(kind, k));
    const file = await importEnsemble({ members, out, name: 'imported' });
    expect(await scoresOf(out)).toEqual(await scoresOf(join(root, kind)));
    expect(file).toMatchObject({ name: 'imported', kind: kind === 'adapters' ? 'adapters' : 'full' });
    expect(file.members.map(({ mean, scale }) => [mean, scale])).toEqual([
      [0, 1],
      [0, 1],
    ]);
  },
);

test('weights are linked, and noted by sha256; adapters name the base that they share', async () => {
  const { members, base: noted } = await importEnsemble({
    ...{ members: [0, 1].map((k) => fitted('adapters', k)), out, name: 'imported' },
  });
  const [own, original] = [join(out, 'member-1'), fitted('adapters', 1)].map((folder) =>
    statSync(join(folder, 'adapter_model.safetensors')),
  );
  expect(own!.ino).toBe(original!.ino);
  expect(noted).toBe('../task/base');
  await rm(join(out, 'member-1', 'adapter_model.safetensors'));
  await cp(join(out, 'member-0', 'adapter_model.safetensors'), join(out, 'member-1', 'adapter_model.safetensors'));
  expect(members[0]!.sha256).not.toBe(members[1]!.sha256);
  await expect(loadEnsemble(out)).rejects.toThrow('member-1: the weights are not those');
});

test('what does not belong together is refused by name, and nothing is left behind', async () => {
  const refused = (members: string[], more: { base?: string } = {}) =>
    expect(importEnsemble({ members, out, name: 'imported', ...more })).rejects;
  await refused([fitted('full', 0), join(root, 'nowhere')]).toThrow(/nowhere does not exist/);
  await refused([fitted('full', 0), base]).toThrow(/base is a language model; members need a score head/);
  await refused([fitted('full', 0), fitted('adapters', 0)]).toThrow('is an adapter and');
  for (const kind of ['full', 'adapters'])
    await refused([0, 1, 0].map((k) => fitted(kind, k))).toThrow(
      /member-0 and .*member-0 hold the same weights \(sha256 [0-9a-f]{12}\), so they never disagree/,
    );
  await refused([fitted('full', 0)], { base }).toThrow('a base is for adapters');
  const other = join(root, 'other-base');
  await cp(base, other, { recursive: true });
  const moved = join(root, 'moved');
  await cp(fitted('adapters', 0), moved, { recursive: true });
  const config = JSON.parse(await readFile(join(moved, 'adapter_config.json'), 'utf8')) as object;
  const named = (name: string) =>
    writeFile(join(moved, 'adapter_config.json'), JSON.stringify({ ...config, base_model_name_or_path: name }));
  await named('../other-base');
  await refused([fitted('adapters', 0), moved]).toThrow(/moved belongs to .*other-base, .* share one base/);
  await named('someone/some-model');
  await refused([moved]).toThrow(/names the base model someone\/some-model, which is no folder here/);
  await importEnsemble({ members: [fitted('adapters', 1), moved], base, out: `${out}-given`, name: 'imported' });
  const tokenizer = JSON.parse(await readFile(join(base, 'tokenizer.json'), 'utf8')) as { added_tokens: object[] };
  await writeFile(
    join(moved, 'tokenizer.json'),
    JSON.stringify({ ...tokenizer, added_tokens: tokenizer.added_tokens.slice(1) }),
  );
  await refused([moved], { base }).toThrow(/moved: not the tokenizer of .*base/);
  expect(existsSync(out)).toBe(false);
});
