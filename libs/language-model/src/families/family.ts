import type { ModelConfig, ModelHead } from '../config';
import type { ConfigFields } from '../config-fields';

/** Modules of a block by what they do. */
export type BlockSlot =
  | 'attentionNorm'
  /** Query, key and value in one matrix; or each of its own. */
  | 'packed'
  | 'query'
  | 'key'
  | 'value'
  | 'attentionOutput'
  /** On what the attention gives, before it is added. */
  | 'attentionPostNorm'
  | 'feedForwardNorm'
  /** Times `up`, after the activation; without it the activation is on `up`. */
  | 'gate'
  | 'up'
  | 'down'
  | 'feedForwardPostNorm';

/** What of a config.json depends on the family; the rest `parseModelConfig` reads alike for all. */
export type FamilyConfig = Omit<
  ModelConfig,
  'architecture' | 'head' | 'tiedHead' | 'eosTokenIds' | 'bosTokenId' | 'padTokenId' | 'raw'
>;

/** What distinguishes one family of decoders from another; `decoder.ts` is what they share. */
export interface Family {
  /** Class of transformers that loads a model with this head; stands in config.json. */
  classes: Record<ModelHead, string>;
  read(fields: ConfigFields): FamilyConfig;
  /** Whether a language-model head is the embedding table where config.json does not say. */
  isTiedByDefault: boolean;
  norm: 'layer' | 'rms';
  /** Added to the gains of norms: 1 where files hold what they differ from 1 by. */
  gainOffset: 0 | 1;
  /** Linear weights are stored [in, out], as transformers' Conv1D, and not [out, in]. */
  isConv1d: boolean;
  /** Token embeddings are multiplied by sqrt(H). */
  scalesEmbedding: boolean;
  /** Prefix of all names of the trunk, which files of a bare trunk leave out. */
  prefix: string;
  tokenEmbedding: string;
  /** Learned positions; without them positions are rotary. */
  positionEmbedding?: string;
  finalNorm: string;
  /** Prefix of a block's modules, after `prefix`. */
  block(layer: number): string;
  /** Names in a block, in the order of the computation. */
  slots: Partial<Record<BlockSlot, string>>;
  /** Names in files that carry no weight. */
  buffers: RegExp;
}
