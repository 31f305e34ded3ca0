import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { listFolder } from '@surefoot/files';
import type { AdapterConfig } from './adapter-config';
import { isAdapterFolder, readAdapter, readAdapterConfig } from './adapter-folder';
import type { ModelConfig } from './config';
import { assertVocabularyFits, readModelConfig } from './model-folder';
import { parameterCount } from './parameters';
import { loadTokenizer, type Tokenizer } from './tokenizer';
import { digestWeights, findWeights } from './weight-files';

type TokenizerDescription = Pick<
  Tokenizer,
  'vocabularySize' | 'bosTokenId' | 'eosTokenId' | 'padTokenId' | 'digest' | 'hasChatTemplate'
>;

/** What a model folder or adapter folder holds, and what in it would not load. */
export interface ModelDescription {
  folder: string;
  /** Without `raw`; undefined where config.json cannot be read. */
  config?: Omit<ModelConfig, 'raw'>;
  /** Number of parameters that the config makes. */
  parameters?: number;
  /** Of the weight files. */
  bytes?: number;
  /** Parameters that the files hold in each form. */
  dtypes?: Record<string, number>;
  /** sha256 over the weight files. */
  digest?: string;
  tokenizer?: TokenizerDescription;
  /** The adapter that the folder itself is, and those in folders inside it; without `raw`. */
  adapters: (Omit<AdapterConfig, 'raw'> & { folder: string })[];
  /** One line for each thing that would not load, naming the file; empty for a sound folder. */
  problems: string[];
}

/**
 * Reads a model folder without putting anything on a backend.
 *
 * @throws DomainError not_found if the folder does not exist; whatever is wrong inside is listed in `problems`
 */
export async function inspectModel(folder: string): Promise<ModelDescription> {
  if (!existsSync(folder)) throw new DomainError('not_found', `model folder ${folder} does not exist`);
  const problems: string[] = [];
  const attempt = async <Result>(read: () => Promise<Result>): Promise<Result | undefined> => {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      problems.push(error.message);
      return undefined;
    }
  };
  const isModel = existsSync(join(folder, 'config.json'));
  const adapterFolders = await foldersOfAdapters(folder);
  if (!isModel && !isAdapterFolder(folder)) problems.push(await notAModel(folder));
  const config = isModel ? await attempt(() => readModelConfig(folder)) : undefined;
  const weights = config && (await attempt(() => describeWeights(folder, config)));
  const hasTokenizer = isModel || existsSync(join(folder, 'tokenizer.json'));
  const tokenizer = hasTokenizer ? await attempt(() => loadTokenizer(folder)) : undefined;
  if (config && tokenizer) await attempt(async () => assertVocabularyFits(tokenizer, config));
  const adapters: ModelDescription['adapters'] = [];
  for (const each of adapterFolders) {
    // Without a model beside it only what the adapter says of itself can be checked.
    const stated = await attempt(async () =>
      config ? (await readAdapter(each, config)).config : readAdapterConfig(each),
    );
    if (stated) adapters.push({ folder: each, ...withoutRaw(stated) });
  }
  return {
    folder,
    ...(config && { config: withoutRaw(config), parameters: parameterCount(config) }),
    ...weights,
    ...(tokenizer && { tokenizer: describeTokenizer(tokenizer) }),
    adapters,
    problems,
  };
}

async function foldersOfAdapters(folder: string): Promise<string[]> {
  const inside = (await listFolder(folder)).map((name) => join(folder, name));
  return [folder, ...inside].filter(isAdapterFolder);
}

async function notAModel(folder: string): Promise<string> {
  const isEnsemble = existsSync(join(folder, 'ensemble.json'));
  if (isEnsemble) return `${folder} is an ensemble of reward models: inspect its members' folders`;
  const names = await listFolder(folder);
  const some = names.length === 0 ? 'nothing' : names.slice(0, 5).join(', ') + (names.length > 5 ? ', …' : '');
  return `${folder} is no model folder: there is no config.json in it, but ${some}`;
}

async function describeWeights(folder: string, config: ModelConfig) {
  const { files, bytes, parameters } = await findWeights(folder, config);
  const dtypes: Record<string, number> = {};
  for (const { tensor } of parameters.values())
    dtypes[tensor.dtype] = (dtypes[tensor.dtype] ?? 0) + tensor.shape.reduce((size, side) => size * side, 1);
  return { bytes, dtypes, digest: await digestWeights(files) };
}

function withoutRaw<Config extends { raw: unknown }>(config: Config): Omit<Config, 'raw'> {
  const rest: Partial<Config> = { ...config };
  delete rest.raw;
  return rest as Omit<Config, 'raw'>;
}

function describeTokenizer(tokenizer: Tokenizer): TokenizerDescription {
  const { vocabularySize, bosTokenId, eosTokenId, padTokenId, digest, hasChatTemplate } = tokenizer;
  return { vocabularySize, bosTokenId, eosTokenId, padTokenId, digest, hasChatTemplate };
}
