import { DomainError } from '@surefoot/errors';
import { architectures } from './architecture';

/** What a model computes beside its hidden states: next-token logits, or one score a sequence. */
export type ModelHead = 'causal-lm' | 'reward';

/** The geometry of a decoder, whatever names its config.json uses. */
export interface ModelConfig {
  architecture: keyof typeof architectures;
  head: ModelHead;
  vocabularySize: number;
  hiddenSize: number;
  /** Width of the feed-forward layers. */
  innerSize: number;
  layers: number;
  heads: number;
  /** Longest sequence, in tokens. */
  maxPositions: number;
  layerNormEpsilon: number;
  /** True where the language-model head is the embedding table. */
  tiedHead: boolean;
  /** Ids that end a response; none where the config names none. */
  eosTokenIds: number[];
  bosTokenId?: number;
  padTokenId?: number;
  /** config.json as read, so that saving keeps what is not ours. */
  raw: Record<string, unknown>;
}

/**
 * Reads a config.json.
 *
 * @param source file named in errors
 * @throws DomainError invalid_argument listing all that is missing, out of range, or of a kind that is not computed here
 */
export function parseModelConfig(raw: unknown, source: string): ModelConfig {
  if (raw === null || typeof raw !== 'object' || Array.isArray(raw))
    throw new DomainError('invalid_argument', `${source} is no JSON object`);
  const fields = raw as Record<string, unknown>;
  const type = fields['model_type'];
  if (typeof type !== 'string' || !Object.hasOwn(architectures, type)) {
    const supported = Object.keys(architectures).join(', ');
    throw new DomainError(
      'invalid_argument',
      `${source}: model_type ${JSON.stringify(type)} is not supported; supported: ${supported}`,
    );
  }
  const architecture = type as ModelConfig['architecture'];
  const problems: string[] = [];
  const head = readHead(fields, architectures[architecture].classes, problems);
  const sizes = readSizes(fields, architectures[architecture].configNames, problems);
  for (const [name, allowed] of Object.entries(architectures[architecture].allowedValues))
    if (fields[name] !== undefined && !allowed.includes(fields[name]))
      problems.push(`${name} ${JSON.stringify(fields[name])} is not supported, only ${JSON.stringify(allowed)}`);
  if (sizes.hiddenSize % sizes.heads !== 0)
    problems.push(`hidden size ${sizes.hiddenSize} is not a multiple of ${sizes.heads} heads`);
  const tokens = readTokenIds(fields, sizes.vocabularySize, problems);
  if (problems.length > 0) throw new DomainError('invalid_argument', `${source}: ${problems.join('; ')}`);
  const tiedHead = head === 'causal-lm' && fields['tie_word_embeddings'] !== false;
  return { architecture, head, ...sizes, tiedHead, ...tokens, raw: fields };
}

/** The same config as config.json states it: unknown fields of the source kept, ours written over them. */
export function modelConfigJson(config: ModelConfig): Record<string, unknown> {
  const { architecture, head, raw } = config;
  const { configNames, classes } = architectures[architecture];
  const sizes = Object.entries(configNames).map(([field, name]) => [name, config[field as SizeField]]);
  const dtype = 'torch_dtype' in raw ? 'torch_dtype' : 'dtype';
  return {
    ...raw,
    model_type: architecture,
    architectures: [classes[head]],
    ...Object.fromEntries(sizes),
    tie_word_embeddings: head === 'reward' || config.tiedHead,
    bos_token_id: config.bosTokenId ?? null,
    eos_token_id: config.eosTokenIds.length > 1 ? config.eosTokenIds : (config.eosTokenIds[0] ?? null),
    pad_token_id: config.padTokenId ?? null,
    [dtype]: 'float32',
    ...(head === 'reward' && { id2label: { '0': 'LABEL_0' }, label2id: { LABEL_0: 0 }, ...rewardPadding(config) }),
  };
}

// Nothing here drops out, so neither shall transformers when it trains on.
const noDropout = { embd_pdrop: 0, attn_pdrop: 0, resid_pdrop: 0 };

/** The config of a new GPT-2 model; ranges as `parseModelConfig` checks them. */
export function gpt2Config(options: {
  vocabularySize: number;
  hiddenSize: number;
  layers: number;
  heads: number;
  maxPositions: number;
  head: ModelHead;
  /** Default true. */
  tiedHead?: boolean;
  eosTokenIds: number[];
  bosTokenId?: number;
  padTokenId?: number;
}): ModelConfig {
  const { tiedHead = true, hiddenSize, ...rest } = options;
  const config: ModelConfig = {
    ...{ ...rest, architecture: 'gpt2', hiddenSize, tiedHead, raw: noDropout },
    ...{ innerSize: 4 * hiddenSize, layerNormEpsilon: 1e-5 },
  };
  return parseModelConfig(modelConfigJson(config), 'the config of a new model');
}

/** Sizes that every decoder has. */
export type SizeField =
  'vocabularySize' | 'hiddenSize' | 'innerSize' | 'layers' | 'heads' | 'maxPositions' | 'layerNormEpsilon';

function readSizes(
  fields: Record<string, unknown>,
  names: Record<SizeField, string>,
  problems: string[],
): Pick<ModelConfig, SizeField> {
  const size = (field: SizeField) => {
    const value = fields[names[field]];
    if (Number.isSafeInteger(value) && (value as number) >= 1) return value as number;
    problems.push(`${names[field]} is ${JSON.stringify(value)}, needs a whole number of at least 1`);
    return 1;
  };
  const hiddenSize = size('hiddenSize');
  const innerSize = fields[names.innerSize] == null ? 4 * hiddenSize : size('innerSize');
  const layerNormEpsilon = fields[names.layerNormEpsilon] ?? 1e-5;
  if (typeof layerNormEpsilon !== 'number' || !(layerNormEpsilon > 0))
    problems.push(`${names.layerNormEpsilon} is ${JSON.stringify(layerNormEpsilon)}, needs a number above 0`);
  return {
    ...{ vocabularySize: size('vocabularySize'), hiddenSize, innerSize, layers: size('layers'), heads: size('heads') },
    ...{ maxPositions: size('maxPositions'), layerNormEpsilon: layerNormEpsilon as number },
  };
}

function readHead(fields: Record<string, unknown>, classes: Record<ModelHead, string>, problems: string[]): ModelHead {
  const name = Array.isArray(fields['architectures']) ? fields['architectures'][0] : classes['causal-lm'];
  if (name === classes['causal-lm']) return 'causal-lm';
  if (name !== classes.reward) {
    problems.push(`architectures names ${JSON.stringify(name)}, supported: ${Object.values(classes).join(', ')}`);
    return 'causal-lm';
  }
  // transformers writes the number of labels as the size of id2label and takes 2 where neither is there.
  const labels = fields['id2label'];
  const count = labels && typeof labels === 'object' ? Object.keys(labels).length : (fields['num_labels'] ?? 2);
  if (count !== 1) problems.push(`a reward model needs 1 label (num_labels or id2label), this has ${count}`);
  return 'reward';
}

function readTokenIds(
  fields: Record<string, unknown>,
  vocabularySize: number,
  problems: string[],
): Pick<ModelConfig, 'eosTokenIds' | 'bosTokenId' | 'padTokenId'> {
  const ids = (name: string) => {
    const value = fields[name] ?? [];
    const list: unknown[] = Array.isArray(value) ? value : [value];
    const isId = (id: unknown) => Number.isSafeInteger(id) && (id as number) >= 0 && (id as number) < vocabularySize;
    // Some published configs carry pad_token_id -1 for none.
    const given = list.filter((id) => id !== -1);
    if (!given.every(isId)) problems.push(`${name} is ${JSON.stringify(value)}, needs ids below ${vocabularySize}`);
    return given as number[];
  };
  const [bosTokenId] = ids('bos_token_id');
  const [padTokenId] = ids('pad_token_id');
  return {
    eosTokenIds: ids('eos_token_id'),
    ...(bosTokenId !== undefined && { bosTokenId }),
    ...(padTokenId !== undefined && { padTokenId }),
  };
}

/**
 * transformers finds the last token of a sequence as the last that is not the pad token, so a pad id that can end a response
 * would be read past. The bos token never ends one.
 */
function rewardPadding({ padTokenId, bosTokenId, eosTokenIds }: ModelConfig): { pad_token_id?: number } {
  if (padTokenId !== undefined || bosTokenId === undefined || eosTokenIds.includes(bosTokenId)) return {};
  return { pad_token_id: bosTokenId };
}
