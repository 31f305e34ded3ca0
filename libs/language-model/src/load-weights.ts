import { basename } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { currentBackend, openWeights, type FileTensor, type WeightsFile } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import type { ModelConfig } from './config';
import { assertRoom, assertWeightsFit } from './memory-room';
import { isLarge, parameterSpecs, type ParameterSpec } from './parameters';
import type { StoredWeights } from './weight-files';

/** How weights may be asked for: `auto` maps where that costs nothing and the model is large. */
export type WeightForm = 'auto' | 'f32' | 'bf16-mapped';

/** How the parameters of a model are held. */
export interface HeldWeights {
  /** `bf16-mapped`: matrices as BF16, vectors and scalar heads as float32. */
  form: 'f32' | 'bf16-mapped';
  /** What a user should know of it. */
  warning?: string;
}

/**
 * Puts the parameters of weight files on the open backend, one at a time.
 *
 * @param what for errors
 * @throws DomainError resource_exhausted before anything is read where they do not fit; failed_precondition where they cannot be
 * mapped though they shall be; invalid_argument naming file and weight where one that is held as float32 is not finite
 */
export async function loadWeights(
  config: ModelConfig,
  { files, parameters }: StoredWeights,
  { form, trainable, what }: { form: WeightForm; trainable: boolean; what: string },
): Promise<{ parameters: Map<string, tf.Variable>; weights: HeldWeights }> {
  const opened = new Map<string, WeightsFile>();
  const loaded = new Map<string, tf.Variable>();
  const sums: { name: string; sum: tf.Tensor }[] = [];
  try {
    for (const file of files) opened.set(file, await openWeights(file));
    const specs = parameterSpecs(config);
    const placeOf = ({ name }: ParameterSpec) => {
      const { file, tensor } = parameters.get(name)!;
      return { file: opened.get(file)!, tensor };
    };
    const matrices = specs.filter(isMatrix).map(placeOf);
    const possible = matrices.every(({ file, tensor }) => file.bfloat16(tensor).isPossible);
    const copied = matrices.filter(({ file, tensor }) => !file.bfloat16(tensor).isMapped);
    const weights = decide(config, { form, trainable, what, possible, copied: copied.length });
    if (weights.form === 'f32') assertWeightsFit(config, what);
    else assertRoom(what, { 'matrices that are not aligned': bytesOf(copied) }, remedy);
    const isHeld = (spec: ParameterSpec) => weights.form === 'bf16-mapped' && isMatrix(spec);
    for (const spec of specs) {
      const { file, tensor } = placeOf(spec);
      const values = await file.read(tensor, isHeld(spec) ? 'bfloat16' : 'float32');
      if (!isHeld(spec)) sums.push({ name: spec.name, sum: tf.sum(values) });
      loaded.set(spec.name, tf.variable(values, trainable));
      values.dispose();
    }
    await assertFinite(sums, parameters);
    return { parameters: loaded, weights };
  } catch (error) {
    tf.dispose([...loaded.values()]);
    throw error;
  } finally {
    tf.dispose(sums.map(({ sum }) => sum));
    for (const file of opened.values()) await file.close();
  }
}

const remedy = 'write an aligned one: surefoot model convert --dtype bf16';

function bytesOf(places: { tensor: FileTensor }[]): number {
  return places.reduce((sum, { tensor }) => sum + tensor.bytes, 0);
}

/** A sum is finite only where every part of it is, and costs no memory; weights that are mapped are not touched for it. */
async function assertFinite(
  sums: { name: string; sum: tf.Tensor }[],
  parameters: StoredWeights['parameters'],
): Promise<void> {
  if (sums.length === 0) return;
  const all = tf.tidy(() => tf.stack(sums.map(({ sum }) => sum)));
  const values = await all.data();
  all.dispose();
  const wrong = sums.find((_, k) => !Number.isFinite(values[k]));
  if (!wrong) return;
  const { file, tensor } = parameters.get(wrong.name)!;
  throw new DomainError('invalid_argument', `${file}: weight ${tensor.name} holds values that are not finite`);
}

function decide(
  config: ModelConfig,
  options: { form: WeightForm; trainable: boolean; what: string; possible: boolean; copied: number },
): HeldWeights {
  const { form, trainable, what, possible, copied } = options;
  if (form === 'f32') return { form };
  if (form === 'auto')
    return { form: !trainable && isLarge(config) && possible && copied === 0 ? 'bf16-mapped' : 'f32' };
  const refuse = (reason: string) =>
    new DomainError('failed_precondition', `weights bf16-mapped are not possible here: ${reason}`);
  if (trainable) throw refuse('they cannot be trained; use f32, or train an adapter');
  const { name, isGpu } = currentBackend();
  if (name !== 'tensorflow' || isGpu)
    throw refuse(`backend ${name}${isGpu ? ' on a GPU' : ''} cannot map them, tensorflow on a CPU can`);
  if (!possible) throw refuse(`${basename(what)} does not hold its matrices as BF16; ${remedy}`);
  if (copied === 0) return { form };
  return {
    form,
    warning: `${what}: ${copied} matrices do not begin at a multiple of 64 bytes and are copied into memory; ${remedy}`,
  };
}

/** Whether a parameter may be held as BF16: it is used in products and look-ups of rows alone, and is large. */
function isMatrix({ role, shape }: ParameterSpec): boolean {
  return shape.length === 2 && shape[0]! > 1 && role !== 'gain' && role !== 'bias';
}
