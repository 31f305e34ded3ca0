import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import type { ModelConfig } from './config';
import { parameterCount } from './parameters';
import { assertVocabularyFits, readModelConfig } from './model-folder';
import { loadTokenizer, type Tokenizer } from './tokenizer';
import { digestWeights, findWeights } from './weight-files';

type TokenizerDescription = Pick<
  Tokenizer,
  'vocabularySize' | 'bosTokenId' | 'eosTokenId' | 'padTokenId' | 'digest' | 'hasChatTemplate'
>;

/** What a model folder holds, and what in it would not load. */
export interface ModelDescription {
  folder: string;
  /** Without `raw`; undefined where config.json cannot be read. */
  config?: Omit<ModelConfig, 'raw'>;
  /** Number of parameters that the config makes. */
  parameters?: number;
  /** Of the weight files. */
  bytes?: number;
  /** sha256 over the weight files. */
  digest?: string;
  tokenizer?: TokenizerDescription;
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
  if (existsSync(join(folder, 'adapter_config.json')))
    problems.push(`${join(folder, 'adapter_config.json')}: adapters are not supported in this build yet`);
  const config = await attempt(() => readModelConfig(folder));
  const weights = config && (await attempt(() => describeWeights(folder, config)));
  const tokenizer = await attempt(() => loadTokenizer(folder));
  if (config && tokenizer) await attempt(async () => assertVocabularyFits(tokenizer, config));
  return {
    folder,
    ...(config && { config: withoutRaw(config), parameters: parameterCount(config) }),
    ...(weights && { bytes: weights.bytes, digest: weights.digest }),
    ...(tokenizer && { tokenizer: describeTokenizer(tokenizer) }),
    problems,
  };
}

async function describeWeights(folder: string, config: ModelConfig) {
  const { files, bytes } = await findWeights(folder, config);
  return { bytes, digest: await digestWeights(files) };
}

function withoutRaw(config: ModelConfig): Omit<ModelConfig, 'raw'> {
  const rest: Partial<ModelConfig> = { ...config };
  delete rest.raw;
  return rest as Omit<ModelConfig, 'raw'>;
}

function describeTokenizer(tokenizer: Tokenizer): TokenizerDescription {
  const { vocabularySize, bosTokenId, eosTokenId, padTokenId, digest, hasChatTemplate } = tokenizer;
  return { vocabularySize, bosTokenId, eosTokenId, padTokenId, digest, hasChatTemplate };
}
