import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { digestText, listFolder, readJson, rememberedDigest } from '@surefoot/files';
import { openSafetensors, type FileTensor } from '@surefoot/tensor';
import type { ModelConfig } from './config';
import { canonicalName, embeddingTable, parameterShapes } from './parameters';

/** Where a parameter lies in the weight files. */
export interface StoredParameter {
  /** The file's path. */
  file: string;
  tensor: FileTensor;
}

/** What the weight files of a model folder hold; of the files only the headers have been read. */
export interface StoredWeights {
  /** Paths, in the order of their names. */
  files: string[];
  /** By our names, in our order; exactly the parameters of the config, each of its shape. */
  parameters: Map<string, StoredParameter>;
  /** Of the files together. */
  bytes: number;
}

/**
 * Looks into model.safetensors, or the shards that model.safetensors.index.json names.
 *
 * @throws DomainError not_found where a file is missing; invalid_argument naming file and tensor for a damaged file and for a
 *   weight that is missing, extra, given twice, or of another shape than the config says, and for weights that are pickled
 */
export async function findWeights(folder: string, config: ModelConfig): Promise<StoredWeights> {
  const files = await weightFiles(folder);
  const found = new Map<string, StoredParameter>();
  let bytes = 0;
  for (const file of files) {
    const opened = await openSafetensors(file);
    await opened.close();
    bytes += opened.bytes;
    for (const [stored, tensor] of opened.tensors) {
      const name = canonicalName(config, stored);
      // A reward model has no use for a language-model head.
      if (name === undefined || (name === headName && config.head === 'reward')) continue;
      const other = found.get(name);
      if (other) throw invalid(file, stored, `is given twice, also in ${basename(other.file)}`);
      found.set(name, { file, tensor });
    }
  }
  const head = found.get(headName);
  if (config.tiedHead) found.delete(headName);
  const parameters = checkAgainstConfig(found, config, files);
  if (config.tiedHead && head) await assertSameValues(head, parameters.get(embeddingTable(config))!);
  return { files, parameters, bytes };
}

const headName = 'lm_head.weight';

/**
 * A tied head may be stored once more beside the embedding table it shares. Where it is another, transformers 4 passes over it
 * and transformers 5 computes with it: nobody knows what is meant.
 */
async function assertSameValues(head: StoredParameter, table: StoredParameter): Promise<void> {
  const [a, b] = [await openSafetensors(head.file), await openSafetensors(table.file)];
  try {
    let isSame = head.tensor.dtype === table.tensor.dtype && head.tensor.bytes === table.tensor.bytes;
    const others = b.pieces(table.tensor)[Symbol.asyncIterator]();
    if (isSame)
      for await (const piece of a.pieces(head.tensor)) {
        const other = (await others.next()).value as Float32Array;
        isSame &&= bytesOf(piece).equals(bytesOf(other));
      }
    if (!isSame)
      throw invalid(
        head.file,
        head.tensor.name,
        'differs from the embedding table that config.json ties it to: remove it, or set tie_word_embeddings to false',
      );
  } finally {
    await Promise.all([a.close(), b.close()]);
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/**
 * What weight files are known by: of one its sha256, of shards the sha256 over theirs in the order of their names.
 *
 * @param memory folder that remembers the digests of large files
 */
export async function digestWeights(files: string[], memory = digestMemory()): Promise<string> {
  const digests = await Promise.all(files.map((file) => rememberedDigest(file, memory)));
  return digests.length === 1 ? digests[0]! : digestText(digests.join(''));
}

function digestMemory(): string {
  return join(homedir(), '.cache', 'surefoot', 'digests');
}

function checkAgainstConfig(
  found: Map<string, StoredParameter>,
  config: ModelConfig,
  files: string[],
): Map<string, StoredParameter> {
  const parameters = new Map<string, StoredParameter>();
  for (const [name, shape] of parameterShapes(config)) {
    const entry = found.get(name);
    if (!entry) throw invalid(files.join(', '), name, 'is missing');
    const stored = entry.tensor.shape;
    if (stored.join() !== shape.join())
      throw invalid(entry.file, name, `has shape [${stored.join(', ')}], config.json makes it [${shape.join(', ')}]`);
    parameters.set(name, entry);
    found.delete(name);
  }
  for (const [name, { file }] of found) throw invalid(file, name, 'belongs to no part of the model of config.json');
  return parameters;
}

/** The weight files of a model folder, in the order of their names. @throws DomainError not_found, invalid_argument */
export async function weightFiles(folder: string): Promise<string[]> {
  const single = join(folder, 'model.safetensors');
  if (existsSync(single)) return [single];
  const index = join(folder, 'model.safetensors.index.json');
  if (!existsSync(index)) {
    const pickled = (await listFolder(folder)).filter((name) => /\.(bin|pt|pth|ckpt|pkl)$/.test(name));
    if (pickled.length > 0)
      throw new DomainError(
        'invalid_argument',
        `${folder} holds its weights only as ${pickled[0]!}: a pickled file can run any program when it is read, so it is ` +
          'not; have transformers write model.safetensors: AutoModelForCausalLM.from_pretrained(…).save_pretrained(…)',
      );
    throw new DomainError('not_found', `${folder} holds no model.safetensors and no model.safetensors.index.json`);
  }
  const map = ((await readJson(index)) as { weight_map?: unknown } | null)?.weight_map;
  const names = map !== null && typeof map === 'object' ? [...new Set(Object.values(map))] : [];
  // A shard is a file of this folder: an index cannot point elsewhere.
  const isFileName = (name: unknown) => typeof name === 'string' && name === basename(name) && name !== '..';
  if (names.length === 0 || !names.every(isFileName))
    throw new DomainError('invalid_argument', `${index} has no weight_map from weights to file names`);
  return names.sort().map((name) => join(folder, name));
}

function invalid(file: string, tensor: string, problem: string): DomainError {
  return new DomainError('invalid_argument', `${file}: weight ${tensor} ${problem}`);
}
