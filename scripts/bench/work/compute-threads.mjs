// Ten reward models shared by two compute threads, each with a heap of its own, as the service has them.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { disposeModel, loadModel, saveModel, wordTokenizerFiles } from '@surefoot/language-model';
import { currentBackend } from '@surefoot/tensor';
import { members, texts } from '../models.mjs';
import { scoring, sizes } from '../sizes.mjs';

// The service's own, which its index does not offer.
const { startComputing } = createRequire(import.meta.url)('../../../libs/scoring-server/dist/computing.js');

export async function twoComputeThreads({ size }) {
  const folder = await mkdtemp(join(tmpdir(), 'surefoot-bench-'));
  const computing = startComputing();
  try {
    await writeEnsemble(folder, sizes[size]);
    const { name } = currentBackend();
    await computing.load({ folder, backend: name, threads: 2, requireGpu: false, tokenBudget: 8192 });
  } catch (error) {
    await computing.close();
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const sequences = texts(sizes[size], scoring.rows, scoring.tokens);
  return { run: async () => void (await computing.score(sequences)), dispose: () => computing.close() };
}

/** An ensemble folder with a tokenizer of one id a word. */
async function writeEnsemble(folder, { vocabularySize, ...geometry }) {
  const words = ['<s>', '</s>', ...Array.from({ length: vocabularySize - 2 }, (_, word) => `w${word}`)];
  const tokenizerFolder = join(folder, 'tokenizer');
  await mkdir(tokenizerFolder);
  for (const [name, text] of Object.entries(wordTokenizerFiles(words, { bos: '<s>', eos: '</s>' })))
    await writeFile(join(tokenizerFolder, name), text);
  const entries = [];
  for (const [seed, model] of members({ vocabularySize, ...geometry }).entries()) {
    const path = `member-${seed}`;
    await mkdir(join(folder, path));
    await saveModel(model, join(folder, path), { tokenizerFolder });
    const stored = await loadModel(join(folder, path), { head: 'reward' });
    [model, stored].forEach(disposeModel);
    entries.push({ seed, path, sha256: stored.digest, mean: 0, scale: 1 });
  }
  const file = { format: 1, name: 'bench', kind: 'full', base: null, members: entries };
  await writeFile(join(folder, 'ensemble.json'), JSON.stringify(file));
}
