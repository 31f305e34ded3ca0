// What must hold of the built-in task before PPO is worth running, for some data seeds: node bench/conditions.mjs 11 12
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readFile } from 'node:fs/promises';
import { parseInitialisation, parseModelConfig } from '@surefoot/language-model';
import { readPairs } from '@surefoot/preference';
import { builtinConditions, fitEnsemble, writeBuiltinTask } from '@surefoot/reward';
import { openBackend } from '@surefoot/tensor';

const readJson = async (path) => JSON.parse(await readFile(path, 'utf8'));

async function fit(task, { pairs, config, init, members, seed, out }) {
  const rows = (await readPairs([join(task, pairs)])).pairs;
  await fitEnsemble({
    pairs: rows,
    members,
    seed,
    out,
    name: 'conditions',
    config: parseModelConfig(await readJson(join(task, config)), config),
    tokenizerFolder: join(task, 'base'),
    ...(init && { initialisation: parseInitialisation(await readJson(join(task, init)), init) }),
  });
}

const folder = await mkdtemp(join(tmpdir(), 'surefoot-conditions-'));
try {
  const { name, kernelBuild } = await openBackend('wasm');
  for (const dataSeed of process.argv.slice(2).map(Number)) {
    const [task, ensemble, judge] = ['task', 'ensemble', 'judge'].map((part) => join(folder, `${part}-${dataSeed}`));
    await writeBuiltinTask(task, { dataSeed });
    const member = { pairs: 'pairs.jsonl', config: 'member-config.json', init: 'member-init.json' };
    await fit(task, { ...member, members: 10, seed: dataSeed, out: ensemble });
    await fit(task, { pairs: 'judge-pairs.jsonl', config: 'judge-config.json', members: 1, seed: 1, out: judge });
    const conditions = await builtinConditions({ task, ensemble, judge });
    console.log(JSON.stringify({ dataSeed, backend: `${name} ${kernelBuild}`, ...conditions }, null, 2));
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
