import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { createModel, disposeModel, gpt2Config, loadModel, saveModel } from '@surefoot/language-model';
import { words, type World } from './testing';

/** A service that runs as a child process from its compiled files. */
export interface ChildService {
  address: string;
  process: ChildProcess;
  /** Everything it logged. */
  log: string[];
  /** Sends a signal and waits for its end; resolves with the exit status. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

const children = new Set<ChildService>();

/** Starts `services/<name>/dist/main.js` on a free port and waits until it listens. */
export async function startService(name: string, environment: Record<string, string>): Promise<ChildService> {
  const main = resolve(__dirname, '../..', name, 'dist', 'main.js');
  const child = spawn(process.execPath, [main], {
    env: { SUREFOOT_ADDRESS: '127.0.0.1:0', SUREFOOT_EXIT_WITH_PARENT: '1', ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const log: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => log.push(line));
  const ended = once(child, 'exit') as Promise<[number | null]>;
  const address = await new Promise<string>((listening, failed) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      log.push(line);
      const { msg, address } = JSON.parse(line) as { msg?: string; address?: string };
      if (msg === 'listening' && address) listening(address);
    });
    void ended.then(([code]) => failed(new Error(`${name} ended with status ${code}: ${log.join('\n')}`)));
  });
  const service: ChildService = {
    address,
    process: child,
    log,
    stop: async (signal = 'SIGKILL') => {
      child.kill(signal);
      children.delete(service);
      return (await ended)[0];
    },
  };
  children.add(service);
  return service;
}

/** Ends every child that a failed test left. */
export async function stopServices(): Promise<void> {
  await Promise.all([...children].map((child) => child.stop()));
}

/** Writes an ensemble folder of `members` tiny reward models with weights of their own. */
export async function writeEnsemble(world: World, name: string, members: number, seed: number): Promise<string> {
  const folder = join(world.data, name);
  const entries = [];
  for (let k = 0; k < members; k += 1) {
    const path = join(folder, `member-${k}`);
    mkdirSync(path, { recursive: true });
    const config = gpt2Config({
      ...{ vocabularySize: words.length, hiddenSize: 16, layers: 1, heads: 2, maxPositions: 16 },
      ...{ head: 'reward', eosTokenIds: [1], bosTokenId: 0, padTokenId: 1 },
    });
    const initialisation = { tokenEmbedding: 0.6, positionEmbedding: 0.1, head: 0.6 };
    const model = createModel(config, seed + k, {
      ...initialisation,
      matrices: 'fan-in',
      outputProjectionsByDepth: true,
    });
    await saveModel(model, path, { tokenizerFolder: join(world.data, 'base') });
    disposeModel(model);
    const saved = await loadModel(path);
    entries.push({ seed: seed + k, path: `member-${k}`, sha256: saved.digest, mean: 0, scale: 1 });
    disposeModel(saved);
  }
  const file = { format: 1, name, kind: 'full', base: null, members: entries };
  writeFileSync(join(folder, 'ensemble.json'), JSON.stringify(file));
  return folder;
}
