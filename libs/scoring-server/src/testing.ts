import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import {
  createModel,
  disposeModel,
  gpt2Config,
  loadModel,
  saveModel,
  wordTokenizerFiles,
} from '@surefoot/language-model';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { openBackend, readSafetensors, writeSafetensors } from '@surefoot/tensor';

/** The vocabulary of the test models; a word is its index here. */
export const words = ['<bos>', '<eos>', 'is', 'it', 'good', 'bad', 'fine', 'very', 'not', 'soup', 'cake', '?'];

/** A folder for model folders and whatever else a test writes. */
export function createTestFolder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'surefoot-scorer-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/**
 * Writes an ensemble of randomly initialised reward models.
 *
 * @param options.poison a member whose scores are not finite, though its weights are
 * @returns its folder
 */
export async function writeTestEnsemble(
  parent: string,
  options: {
    name: string;
    members: number;
    hiddenSize?: number;
    layers?: number;
    maxPositions?: number;
    poison?: number;
  },
): Promise<string> {
  const { name, members, hiddenSize = 16, layers = 1, maxPositions = 32, poison } = options;
  await openBackend('wasm');
  const tokenizerFolder = join(parent, `${name}-tokenizer`);
  mkdirSync(tokenizerFolder, { recursive: true });
  for (const [file, content] of Object.entries(wordTokenizerFiles(words, { bos: '<bos>', eos: '<eos>' })))
    writeFileSync(join(tokenizerFolder, file), content);
  const config = gpt2Config({
    ...{ vocabularySize: words.length, hiddenSize, layers, heads: 2, maxPositions, head: 'reward' },
    ...{ eosTokenIds: [1], bosTokenId: 0, padTokenId: 1 },
  });
  const initialisation = { tokenEmbedding: 0.6, positionEmbedding: 0.1, head: 0.6, matrices: 'fan-in' } as const;
  const entries = [];
  for (let k = 0; k < members; k += 1) {
    const path = join(parent, name, `member-${k}`);
    mkdirSync(path, { recursive: true });
    const model = createModel(config, 100 + k, { ...initialisation, outputProjectionsByDepth: true });
    await saveModel(model, path, { tokenizerFolder });
    disposeModel(model);
    if (k === poison) await poisonWeights(join(path, 'model.safetensors'));
    const saved = await loadModel(path);
    entries.push({ seed: 100 + k, path: `member-${k}`, sha256: saved.digest, mean: 0.5 * k, scale: 1 + k });
    disposeModel(saved);
  }
  const file = { format: 1, name, kind: 'full', base: null, members: entries };
  writeFileSync(join(parent, name, 'ensemble.json'), JSON.stringify(file));
  return join(parent, name);
}

async function poisonWeights(path: string): Promise<void> {
  const { tensors } = await readSafetensors(path);
  // Their product overflows. Weights that are not finite themselves would be refused when they are read.
  tensors.get('transformer.ln_f.weight')!.data[0] = 1e10;
  tensors.get('score.weight')!.data[0] = 3e38;
  await writeSafetensors(path, tensors);
}

/** A service that runs as a process of its own. */
export interface ServiceProcess {
  child: ChildProcess;
  /** Empty where it ended before it listened. */
  address: string;
  /** What it logged, and its stderr. */
  log: Record<string, unknown>[];
  stderr: string[];
  /** Resolves with the exit status once it has ended. */
  ended: Promise<number | null>;
}

/** Starts a compiled main.js and waits until it listens or ends. */
export async function startServiceProcess(main: string, environment: Record<string, string>): Promise<ServiceProcess> {
  const child = spawn(process.execPath, [main], {
    env: { SUREFOOT_ADDRESS: '127.0.0.1:0', SUREFOOT_EXIT_WITH_PARENT: '1', ...environment },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const log: Record<string, unknown>[] = [];
  const stderr: string[] = [];
  createInterface({ input: child.stderr! }).on('line', (line) => stderr.push(line));
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const address = await new Promise<string>((resolve) => {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const entry = JSON.parse(line) as Record<string, unknown>;
      log.push(entry);
      if (entry['msg'] === 'listening') resolve(String(entry['address']));
    });
    void ended.then(() => resolve(''));
  });
  return { child, address, log, stderr, ended };
}

/**
 * Sends a message over and over with some of its bytes changed, cut or doubled; the same changes every time.
 *
 * @param method path of a unary or bidirectional method; each message gets a call of its own
 * @returns how many calls ended with each status code
 */
export async function fuzz(
  address: string,
  method: { path: string; responseStream: boolean },
  message: Buffer,
  count: number,
): Promise<Map<number, number>> {
  const client = new Client(address, credentials.createInsecure());
  const bytes = (value: Buffer) => value;
  const ends = new Map<number, number>();
  let state = 12_345;
  const below = (bound: number) => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((state / 2 ** 31) * bound);
  };
  const send = (mutated: Buffer) =>
    new Promise<number>((resolve) => {
      const options = { deadline: Date.now() + 20_000 };
      if (!method.responseStream)
        return void client.makeUnaryRequest(method.path, bytes, bytes, mutated, new Metadata(), options, (error) =>
          resolve(error?.code ?? 0),
        );
      const call = client.makeBidiStreamRequest(method.path, bytes, bytes, new Metadata(), options);
      call.on('data', () => undefined).on('error', () => undefined);
      call.on('status', ({ code }: { code: number }) => resolve(code));
      call.write(mutated);
      call.end();
    });
  try {
    for (let sent = 0; sent < count; sent += 32)
      for (const code of await Promise.all(Array.from({ length: 32 }, () => send(mutate(message, below)))))
        ends.set(code, (ends.get(code) ?? 0) + 1);
  } finally {
    client.close();
  }
  return ends;
}

function mutate(message: Buffer, below: (bound: number) => number): Buffer {
  let result = Buffer.from(message);
  for (let changes = 1 + below(6); changes > 0 && result.length > 0; changes -= 1) {
    const at = below(result.length);
    const kind = below(4);
    if (kind === 0) result[at] = below(256);
    else if (kind === 1) result[at]! ^= 1 << below(8);
    else if (kind === 2) result = result.subarray(0, at);
    else result = Buffer.concat([result, result.subarray(at)]);
  }
  return result;
}
