import { DomainError } from '@surefoot/errors';
import type { HubFile, Listing } from './repository';

/** Besides the weights: what transformers, peft and we read of a model's folder. */
const smallFiles = new Set([
  ...['config.json', 'generation_config.json', 'adapter_config.json', 'preprocessor_config.json'],
  ...['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json'],
  ...[
    'vocab.json',
    'merges.txt',
    'vocab.txt',
    'tokenizer.model',
    'spiece.model',
    'chat_template.jinja',
    'chat_template.json',
  ],
]);
const namedTemplate = /^(additional_)?chat_templates\/[^/]+\.jinja$/;
const pickled = /\.(bin|pt|pth|ckpt|pkl|pickle)$/;

const single = 'model.safetensors';
export const indexName = 'model.safetensors.index.json';
const adapter = 'adapter_model.safetensors';

/** The files of a repository that make its model. */
export interface ModelFiles {
  /** Everything but shards. */
  files: HubFile[];
  /** Names the shards, where there are some. */
  index?: HubFile;
  /** Weights in a form that can run code when it is loaded. */
  pickled: string[];
}

/** @throws DomainError failed_precondition where there is no model, or none that is safe to load */
export function modelFiles({ name, files }: Listing): ModelFiles {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const left = files.map(({ path }) => path).filter((path) => pickled.test(path));
  if (!byPath.has('config.json') && !byPath.has('adapter_config.json'))
    throw new DomainError(
      'failed_precondition',
      `${name} holds no model: it has neither config.json nor adapter_config.json`,
    );
  // As a folder is read: one file before shards.
  const weights = byPath.has(single) ? single : indexName;
  const wanted = files.filter(
    ({ path }) => smallFiles.has(path) || namedTemplate.test(path) || path === weights || path === adapter,
  );
  if (!byPath.has(weights) && !byPath.has(adapter)) throw noWeights(name, left);
  const index = byPath.get(indexName);
  return { files: wanted, pickled: left, ...(weights === indexName && index && { index }) };
}

function noWeights(name: string, pickled: string[]): DomainError {
  return new DomainError(
    'failed_precondition',
    pickled.length > 0
      ? `${name} holds its weights only in pickled files (${some(pickled)}): loading such a file can run any code that is in it, ` +
          'so none is pulled; take a --revision or a repository that has model.safetensors'
      : `${name} has no weights that can be loaded: no ${single}, ${indexName} or ${adapter}`,
  );
}

/**
 * The shards that an index names.
 *
 * @param text content of the index
 * @throws DomainError invalid_argument where the index is none, or names a file that the repository does not list
 */
export function shards(text: string, { name, files }: Listing): HubFile[] {
  const where = `${indexName} of ${name}`;
  let map: unknown;
  try {
    map = (JSON.parse(text) as { weight_map?: unknown } | null)?.weight_map;
  } catch {
    throw new DomainError('invalid_argument', `${where} is not JSON`);
  }
  const names = map !== null && typeof map === 'object' ? [...new Set(Object.values(map))] : [];
  if (names.length === 0) throw new DomainError('invalid_argument', `${where} names no shard`);
  return names.map((shard) => {
    const file = files.find(({ path }) => path === shard && /^[^/]+\.safetensors$/.test(path));
    if (file) return file;
    throw new DomainError(
      'invalid_argument',
      `${where} names ${JSON.stringify(shard)}, no .safetensors file beside it`,
    );
  });
}

/** The first few of many names. */
export function some(names: string[]): string {
  return names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ');
}
