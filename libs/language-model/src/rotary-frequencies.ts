import type { ConfigFields } from './config-fields';

/** Rotary positions: the base of the frequencies and how they are stretched for longer texts. */
export interface Rotary {
  theta: number;
  scaling?:
    | { type: 'linear'; factor: number }
    | { type: 'llama3'; factor: number; lowFactor: number; highFactor: number; originalPositions: number };
}

/**
 * Frequencies of rotary positions, radians a position: `theta^(-2 i / W)`, scaled.
 *
 * `llama3` divides those of long waves by `factor`, keeps those of short ones and blends between. Every step is rounded to
 * float32, as PyTorch computes it: at position 8192 the last bit of a frequency is 5e-4 of a radian.
 *
 * @returns [W / 2]
 *
 * Source: transformers `modeling_rope_utils.py`.
 */
export function rotaryFrequencies({ theta, scaling }: Rotary, headWidth: number): Float32Array {
  const frequencies = Float32Array.from(
    { length: headWidth / 2 },
    (_, i) => 1 / round(theta ** round((2 * i) / headWidth)),
  );
  if (!scaling) return frequencies;
  if (scaling.type === 'linear') return frequencies.map((frequency) => frequency / round(scaling.factor));
  return frequencies.map((frequency) => stretched(frequency, scaling));
}

const round = Math.fround;

function stretched(frequency: number, scaling: Extract<Rotary['scaling'], { type: 'llama3' }>): number {
  const { factor, lowFactor, highFactor, originalPositions } = scaling;
  const wavelength = round(round(2 * Math.PI) / frequency);
  if (wavelength < originalPositions / highFactor) return frequency;
  if (wavelength > originalPositions / lowFactor) return frequency / round(factor);
  const waves = round(originalPositions / wavelength);
  const blend = round(round(waves - round(lowFactor)) / round(highFactor - lowFactor));
  return round(round(round(1 - blend) * frequency) / round(factor)) + round(blend * frequency);
}

/** Reads `rope_parameters` of transformers 5, or `rope_theta` and `rope_scaling` of 4. */
export function readRotary(fields: ConfigFields, maxPositions: number): Rotary {
  // As transformers 5 does: rope_scaling first, and a theta inside before one outside.
  const parameters = fields.object('rope_scaling') ?? fields.object('rope_parameters');
  const theta = (parameters?.has('rope_theta') ? parameters : fields).positive('rope_theta', 1e4);
  for (const each of [fields, parameters]) each?.allow('partial_rotary_factor', [1, null]);
  // One set for each kind of layer, as other families have it.
  for (const type of ['full_attention', 'sliding_attention']) parameters?.allow(type, []);
  const types = { default: 'default', linear: 'linear', llama3: 'llama3' } as const;
  const type = parameters?.choose(parameters.has('rope_type') ? 'rope_type' : 'type', types, 'default');
  if (!parameters || !type || type === 'default') return { theta };
  const factor = parameters.positive('factor');
  if (type === 'linear') return { theta, scaling: { type, factor } };
  const [lowFactor, highFactor] = [parameters.positive('low_freq_factor'), parameters.positive('high_freq_factor')];
  if (highFactor <= lowFactor)
    fields.problem(`rope: high_freq_factor ${highFactor} is not above low_freq_factor ${lowFactor}`);
  const place = fields.has('original_max_position_embeddings') ? fields : parameters;
  const originalPositions = place.count('original_max_position_embeddings', maxPositions);
  return { theta, scaling: { type, factor, lowFactor, highFactor, originalPositions } };
}
