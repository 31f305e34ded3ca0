import type { ConfigFields } from './config-fields';

/** Rotary positions: the base of the frequencies and how they are stretched for longer texts. */
export interface Rotary {
  theta: number;
  scaling?:
    | { type: 'linear'; factor: number }
    | { type: 'llama3'; factor: number; lowFactor: number; highFactor: number; originalPositions: number };
}

/**
 * Frequencies of rotary positions, radians a position, float32: `theta^(-2 i / W)`, scaled.
 *
 * `llama3` divides those of long waves by `factor`, keeps those of short ones and blends between.
 *
 * @returns [W / 2]
 *
 * Source: transformers `modeling_rope_utils.py`.
 */
export function rotaryFrequencies({ theta, scaling }: Rotary, headWidth: number): Float32Array {
  const frequencies = Float32Array.from({ length: headWidth / 2 }, (_, i) => 1 / theta ** ((2 * i) / headWidth));
  if (!scaling) return frequencies;
  if (scaling.type === 'linear') return frequencies.map((frequency) => frequency / scaling.factor);
  const { factor, lowFactor, highFactor, originalPositions } = scaling;
  return frequencies.map((frequency) => {
    const wavelength = (2 * Math.PI) / frequency;
    if (wavelength < originalPositions / highFactor) return frequency;
    if (wavelength > originalPositions / lowFactor) return frequency / factor;
    const blend = (originalPositions / wavelength - lowFactor) / (highFactor - lowFactor);
    return ((1 - blend) * frequency) / factor + blend * frequency;
  });
}

/** Reads `rope_parameters` of transformers 5, or `rope_theta` and `rope_scaling` of 4. */
export function readRotary(fields: ConfigFields, defaultTheta: number): { rotary: Rotary } {
  const parameters = fields.object('rope_parameters');
  const scaling = parameters ?? fields.object('rope_scaling');
  const theta = (parameters ?? fields).positive('rope_theta', defaultTheta);
  fields.allow('partial_rotary_factor', [1]);
  scaling?.allow('partial_rotary_factor', [1]);
  if (!scaling) return { rotary: { theta } };
  const types = { default: 'default', linear: 'linear', llama3: 'llama3' } as const;
  const type = scaling.choose(scaling.has('rope_type') ? 'rope_type' : 'type', types, 'default');
  if (type === 'default') return { rotary: { theta } };
  const factor = scaling.positive('factor');
  if (type === 'linear') return { rotary: { theta, scaling: { type, factor } } };
  const lowFactor = scaling.positive('low_freq_factor');
  const highFactor = scaling.positive('high_freq_factor');
  const originalPositions = scaling.count('original_max_position_embeddings');
  if (highFactor <= lowFactor) fields.problem('rope: high_freq_factor must be above low_freq_factor');
  return { rotary: { theta, scaling: { type, factor, lowFactor, highFactor, originalPositions } } };
}
