import type { ModelConfig } from './config';
import { families, type BlockSlot, type Family } from './families';

/** `output-projection`: a matrix whose product is added to the hidden state. */
export type ParameterRole =
  'token-embedding' | 'position-embedding' | 'gain' | 'bias' | 'matrix' | 'output-projection' | 'head';

/** A parameter of a model. */
export interface ParameterSpec {
  /** As in our files. */
  name: string;
  shape: number[];
  role: ParameterRole;
  /** Numbers that each of its outputs is a sum over; of matrices and heads. */
  inputs?: number;
}

/** A linear module of a block. */
export interface LinearModule {
  /** Without `.weight`. */
  name: string;
  slot: BlockSlot;
  inputs: number;
  outputs: number;
}

export function familyOf({ architecture }: Pick<ModelConfig, 'architecture'>): Family {
  return families[architecture];
}

/** Name of the embedding table [V, H], which a tied head shares. */
export function embeddingTable(config: ModelConfig): string {
  const { prefix, tokenEmbedding } = familyOf(config);
  return `${prefix}${tokenEmbedding}.weight`;
}

/** Full name of a block's module; undefined where the family has none there. */
export function moduleName(config: ModelConfig, layer: number, slot: BlockSlot): string | undefined {
  const { prefix, block, slots } = familyOf(config);
  return slots[slot] === undefined ? undefined : prefix + block(layer) + slots[slot];
}

/** All linear modules of all blocks, in the order of the file. */
export function linearModules(config: ModelConfig): LinearModule[] {
  return Array.from({ length: config.layers }, (_, layer) => blockModules(config, layer))
    .flat()
    .filter((module): module is LinearModule => 'inputs' in module);
}

/** All parameters of a model, in the order of the file. */
export function parameterSpecs(config: ModelConfig): ParameterSpec[] {
  const { prefix, positionEmbedding, finalNorm } = familyOf(config);
  const { vocabularySize, hiddenSize, maxPositions, head, tiedHead } = config;
  const specs: ParameterSpec[] = [
    { name: embeddingTable(config), shape: [vocabularySize, hiddenSize], role: 'token-embedding' },
  ];
  if (positionEmbedding !== undefined)
    specs.push({
      name: `${prefix}${positionEmbedding}.weight`,
      shape: [maxPositions, hiddenSize],
      role: 'position-embedding',
    });
  for (let layer = 0; layer < config.layers; layer++)
    for (const module of blockModules(config, layer))
      specs.push(...('inputs' in module ? linearSpecs(config, module) : normSpecs(config, module.name)));
  specs.push(...normSpecs(config, prefix + finalNorm));
  if (head === 'reward') specs.push({ name: 'score.weight', shape: [1, hiddenSize], role: 'head', inputs: hiddenSize });
  else if (!tiedHead)
    specs.push({ name: 'lm_head.weight', shape: [vocabularySize, hiddenSize], role: 'head', inputs: hiddenSize });
  return specs;
}

/** Names and shapes of all parameters of a model, in the order of the file. */
export function parameterShapes(config: ModelConfig): [string, number[]][] {
  return parameterSpecs(config).map(({ name, shape }) => [name, shape]);
}

/** How many numbers the parameters of a model hold. */
export function parameterCount(config: ModelConfig): number {
  return parameterSpecs(config).reduce((sum, { shape }) => sum + shape.reduce((size, d) => size * d, 1), 0);
}

/** Whether a model is so large that memory comes before speed: a smaller one is soon loaded, and float32 computes faster. */
export function isLarge(config: ModelConfig): boolean {
  return parameterCount(config) >= 0.25e9;
}

/** Name that a parameter of a file has in our files, or undefined for a buffer that carries no weight. */
export function canonicalName(config: ModelConfig, name: string): string | undefined {
  const { prefix, buffers } = familyOf(config);
  if (buffers.test(name)) return undefined;
  return name.startsWith(prefix) || /^(lm_head|score)\./.test(name) ? name : prefix + name;
}

function blockModules(config: ModelConfig, layer: number): (LinearModule | { name: string })[] {
  const { hiddenSize: h, innerSize, heads, keyHeads, headWidth } = config;
  const { slots } = familyOf(config);
  const [queries, keys] = [heads * headWidth, keyHeads * headWidth];
  const sizes: Partial<Record<BlockSlot, [number, number]>> = {
    packed: [h, queries + 2 * keys],
    query: [h, queries],
    key: [h, keys],
    value: [h, keys],
    attentionOutput: [queries, h],
    gate: [h, innerSize],
    up: [h, innerSize],
    down: [innerSize, h],
  };
  return (Object.keys(slots) as BlockSlot[]).map((slot) => {
    const name = moduleName(config, layer, slot)!;
    const size = sizes[slot];
    return size ? { name, slot, inputs: size[0], outputs: size[1] } : { name };
  });
}

function linearSpecs(config: ModelConfig, { name, slot, inputs, outputs }: LinearModule): ParameterSpec[] {
  const shape = familyOf(config).isConv1d ? [inputs, outputs] : [outputs, inputs];
  const role = slot === 'attentionOutput' || slot === 'down' ? 'output-projection' : 'matrix';
  const weight: ParameterSpec = { name: `${name}.weight`, shape, role, inputs };
  return config.biases.includes(slot) ? [weight, { name: `${name}.bias`, shape: [outputs], role: 'bias' }] : [weight];
}

function normSpecs(config: ModelConfig, name: string): ParameterSpec[] {
  const shape = [config.hiddenSize];
  const gain: ParameterSpec = { name: `${name}.weight`, shape, role: 'gain' };
  return familyOf(config).norm === 'layer' ? [gain, { name: `${name}.bias`, shape, role: 'bias' }] : [gain];
}
