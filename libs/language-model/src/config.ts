import { DomainError } from '@surefoot/errors';
import { configFields } from './config-fields';
import { families, type BlockSlot } from './families';
import type { Rotary } from './rotary-frequencies';

/** What a model computes beside its hidden states: next-token logits, or one score a sequence. */
export type ModelHead = 'causal-lm' | 'reward';

/** The geometry of a decoder, whatever names its config.json uses. */
export interface ModelConfig {
  architecture: keyof typeof families;
  head: ModelHead;
  vocabularySize: number;
  hiddenSize: number;
  /** Width of the feed-forward layers. */
  innerSize: number;
  layers: number;
  /** Of the queries. */
  heads: number;
  /** Of keys and values; divides `heads`. */
  keyHeads: number;
  /** Numbers of one head; may differ from hiddenSize / heads. */
  headWidth: number;
  /** Longest sequence, in tokens. */
  maxPositions: number;
  normEpsilon: number;
  /** `gelu` is its tanh form. */
  activation: 'gelu' | 'silu';
  /** Undefined: positions are learned. */
  rotary?: Rotary;
  /** Times the products of queries and keys. */
  attentionScale: number;
  /** Attention scores become `cap · tanh(score / cap)`. */
  attentionSoftCap?: number;
  /** Logits become `cap · tanh(logit / cap)`. */
  logitSoftCap?: number;
  /** [layers] tokens that a token of a layer sees, itself included; undefined: all before it. */
  windows: (number | undefined)[];
  /** Linear modules of a block that add a bias. */
  biases: BlockSlot[];
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
 * Reads a config.json, of transformers 4 or 5.
 *
 * @param source file named in errors
 * @throws DomainError invalid_argument listing all that is missing, out of range, or of a kind that is not computed here
 */
export function parseModelConfig(raw: unknown, source: string): ModelConfig {
  if (raw === null || typeof raw !== 'object' || Array.isArray(raw))
    throw new DomainError('invalid_argument', `${source} is no JSON object`);
  const fields = raw as Record<string, unknown>;
  const type = fields['model_type'];
  if (typeof type !== 'string' || !Object.hasOwn(families, type)) {
    const supported = Object.keys(families).join(', ');
    throw new DomainError(
      'invalid_argument',
      `${source}: model_type ${JSON.stringify(type)} is not supported; supported: ${supported}`,
    );
  }
  const architecture = type as ModelConfig['architecture'];
  const { classes, isTiedByDefault, read } = families[architecture];
  const problems: string[] = [];
  const head = readHead(fields, classes, problems);
  const reader = configFields(fields, problems);
  // Weights that are packed or quantised are of another shape and kind than the config says.
  if (reader.has('quantization_config'))
    problems.push('quantization_config says that the weights are quantised, only F32, F16 and BF16 are supported');
  const own = read(reader);
  const isTied = reader.flag('tie_word_embeddings', isTiedByDefault);
  // Where the size itself is wrong, that is the only problem.
  const idsBelow = Number.isSafeInteger(fields['vocab_size']) ? own.vocabularySize : Infinity;
  const tokens = readTokenIds(fields, idsBelow, problems);
  if (problems.length > 0) throw new DomainError('invalid_argument', `${source}: ${problems.join('; ')}`);
  return { architecture, head, ...own, tiedHead: head === 'causal-lm' && isTied, ...tokens, raw: fields };
}

/** The same config as config.json states it: unknown fields of the source kept, ours written over them. */
export function modelConfigJson(config: ModelConfig): Record<string, unknown> {
  const { architecture, head, raw } = config;
  const { classes, isTiedByDefault } = families[architecture];
  const dtype = 'torch_dtype' in raw ? 'torch_dtype' : 'dtype';
  return {
    ...raw,
    model_type: architecture,
    architectures: [classes[head]],
    // A reward model has nothing to tie: what its source says stays.
    tie_word_embeddings: head === 'reward' ? (raw['tie_word_embeddings'] ?? isTiedByDefault) : config.tiedHead,
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
  const { tiedHead = true, hiddenSize, eosTokenIds } = options;
  const raw = {
    ...noDropout,
    model_type: 'gpt2',
    architectures: [families.gpt2.classes[options.head]],
    vocab_size: options.vocabularySize,
    n_embd: hiddenSize,
    n_inner: 4 * hiddenSize,
    n_layer: options.layers,
    n_head: options.heads,
    n_positions: options.maxPositions,
    layer_norm_epsilon: 1e-5,
    tie_word_embeddings: tiedHead,
    bos_token_id: options.bosTokenId ?? null,
    eos_token_id: eosTokenIds.length > 1 ? eosTokenIds : (eosTokenIds[0] ?? null),
    pad_token_id: options.padTokenId ?? null,
    dtype: 'float32',
    ...(options.head === 'reward' && { id2label: { '0': 'LABEL_0' } }),
  };
  return parseModelConfig(raw, 'the config of a new model');
}

function readHead(fields: Record<string, unknown>, classes: Record<ModelHead, string>, problems: string[]): ModelHead {
  const [name = classes['causal-lm']] = Array.isArray(fields['architectures']) ? fields['architectures'] : [];
  if (name === classes['causal-lm']) return 'causal-lm';
  if (name !== classes.reward) {
    problems.push(`architectures names ${JSON.stringify(name)}, supported: ${Object.values(classes).join(', ')}`);
    return 'causal-lm';
  }
  // transformers writes the number of labels as the size of id2label, and takes 2 where neither is there.
  const [labels, stated] = [fields['id2label'], fields['num_labels']];
  const count = labels && typeof labels === 'object' ? Object.keys(labels).length : (stated ?? 2);
  if (count !== 1 || (stated ?? 1) !== 1)
    problems.push(
      `a reward model needs 1 label (num_labels or id2label), this has ${JSON.stringify(count === 1 ? stated : count)}`,
    );
  return 'reward';
}

function readTokenIds(
  fields: Record<string, unknown>,
  idsBelow: number,
  problems: string[],
): Pick<ModelConfig, 'eosTokenIds' | 'bosTokenId' | 'padTokenId'> {
  const ids = (name: string) => {
    const value = fields[name] ?? [];
    const list: unknown[] = Array.isArray(value) ? value : [value];
    const isId = (id: unknown) => Number.isSafeInteger(id) && (id as number) >= 0 && (id as number) < idsBelow;
    // Some published configs carry pad_token_id -1 for none.
    const given = list.filter((id) => id !== -1);
    if (!given.every(isId))
      problems.push(`${name} is ${JSON.stringify(value)}, needs ids${idsBelow < Infinity ? ` below ${idsBelow}` : ''}`);
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
