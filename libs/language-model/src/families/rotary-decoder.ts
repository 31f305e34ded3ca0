import type { ConfigFields } from '../config-fields';
import { readRotary } from '../rotary-frequencies';
import type { BlockSlot, Family, FamilyConfig } from './family';

/** The linear modules of a block that its attention has, and those of its feed-forward half. */
export const attentionSlots = ['query', 'key', 'value', 'attentionOutput'] as const satisfies BlockSlot[];
export const feedForwardSlots = ['gate', 'up', 'down'] as const satisfies BlockSlot[];

/** More than any model has; a config that states more cannot make us list its parameters. */
export const mostLayers = 10_000;

/** Names in config.json of the GELU that is computed here; plain `gelu` is the one by erf. */
export const tanhGelus = { gelu_pytorch_tanh: 'gelu', gelu_new: 'gelu', gelu_fast: 'gelu' } as const;

/** What Llama and the families that followed it have alike. */
export const rotaryDecoder = {
  isTiedByDefault: false,
  norm: 'rms',
  gainOffset: 0,
  isConv1d: false,
  scalesEmbedding: false,
  prefix: 'model.',
  tokenEmbedding: 'embed_tokens',
  finalNorm: 'norm',
  block: (layer) => `layers.${layer}.`,
  slots: {
    attentionNorm: 'input_layernorm',
    query: 'self_attn.q_proj',
    key: 'self_attn.k_proj',
    value: 'self_attn.v_proj',
    attentionOutput: 'self_attn.o_proj',
    feedForwardNorm: 'post_attention_layernorm',
    gate: 'mlp.gate_proj',
    up: 'mlp.up_proj',
    down: 'mlp.down_proj',
  },
  buffers: /rotary_emb\.inv_freq$/,
} as const satisfies Omit<Family, 'classes' | 'read'>;

/** What transformers takes where config.json is silent. */
interface Defaults {
  maxPositions: number;
  /** Default as many as queries. */
  keyHeads?: number;
  /** Default hidden size / heads. */
  headWidth?: number;
}

/** Sizes and positions; every layer sees all before it and there are no biases, which a family changes. */
export function readRotaryDecoder(
  fields: ConfigFields,
  { maxPositions, ...defaults }: Defaults,
): Omit<FamilyConfig, 'activation'> {
  const [hiddenSize, heads, layers] = [
    fields.count('hidden_size'),
    fields.count('num_attention_heads'),
    fields.count('num_hidden_layers', undefined, { most: mostLayers }),
  ];
  const keyHeads = fields.optionalCount('num_key_value_heads', defaults.keyHeads ?? heads) ?? heads;
  if (heads % keyHeads !== 0)
    fields.problem(`num_attention_heads ${heads} is not a multiple of num_key_value_heads ${keyHeads}`);
  const headWidth = fields.optionalCount('head_dim', defaults.headWidth) ?? hiddenSize / heads;
  if (!Number.isInteger(headWidth))
    fields.problem(
      `hidden_size ${hiddenSize} is not a multiple of num_attention_heads ${heads}, and no head_dim is given`,
    );
  else if (headWidth % 2 !== 0)
    fields.problem(`a head is ${headWidth} wide (head_dim), rotary positions need an even number`);
  const positions = fields.count('max_position_embeddings', maxPositions);
  return {
    vocabularySize: fields.count('vocab_size'),
    hiddenSize,
    innerSize: fields.count('intermediate_size'),
    layers,
    heads,
    keyHeads,
    headWidth,
    maxPositions: positions,
    normEpsilon: fields.positive('rms_norm_eps', 1e-6),
    rotary: readRotary(fields, positions),
    attentionScale: 1 / Math.sqrt(headWidth),
    windows: new Array<undefined>(layers).fill(undefined),
    biases: [],
  };
}

/** The activation of a family that leaves the choice to `hidden_act`. */
export function readActivation(fields: ConfigFields): FamilyConfig['activation'] {
  return fields.choose('hidden_act', { silu: 'silu', swish: 'silu', ...tanhGelus }, 'silu');
}

/** The window of each layer: as `layer_types` says, else where `isWindowed` by the family's custom. */
export function readWindows(
  fields: ConfigFields,
  layers: number,
  window: number | undefined,
  isWindowed: (layer: number) => boolean,
): (number | undefined)[] {
  const types = fields.list('layer_types', ['full_attention', 'sliding_attention'], layers);
  const isSliding = Array.from({ length: layers }, (_, layer) =>
    types ? types[layer] === 'sliding_attention' : isWindowed(layer),
  );
  if (window === undefined && isSliding.includes(true))
    fields.problem('there are layers with a sliding window (layer_types), but no sliding_window');
  return isSliding.map((slides) => (slides ? window : undefined));
}

/** Refuses layers of another kind in a family whose layers are all alike. */
export function checkLayersAlike(fields: ConfigFields, layers: number, type = 'full_attention'): void {
  fields.list('layer_types', [type], layers);
}
