import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomically } from '@surefoot/files';
import { storedBytes, writeTensors, type TensorSource } from '@surefoot/tensor';
import { modelConfigJson, type ModelConfig } from './config';
import { tokenizerFileNames } from './tokenizer-files';

/** How weights are written. */
export interface WrittenForm {
  /** `bf16` rounds to the nearest, ties to even. Default f32. */
  dtype?: 'f32' | 'bf16';
  /**
   * Bytes of tensors that a file has at most, > 0, in the order of the parameters; a tensor that is larger has a file of its own.
   * Default one file.
   */
  maxShardBytes?: number;
}

/**
 * Fills a folder with a model that transformers loads, one piece of one parameter in memory at a time: the weights,
 * config.json, generation_config.json and the tokenizer's files.
 *
 * config.json is written after the weights, so that a folder which has one has them all.
 *
 * @param parameters by Hugging Face name, shapes as `parameterShapes(config)` has them; `pieces` gives the values row-major, in
 *   float32, and is called once
 * @param folder     exists; files of the same names are replaced, others stay
 * @param options.tokenizerFolder whose tokenizer files are copied, as far as there are any
 * @throws DomainError invalid_argument for a name twice in a file, or pieces of another length than the shape; as
 *   `writeFileAtomically` where the disk refuses; whatever `pieces` throws. The file that failed is as it was before, those
 *   written before it stay
 */
export async function writeModel(
  config: ModelConfig,
  parameters: Omit<TensorSource, 'dtype'>[],
  folder: string,
  { dtype = 'f32', maxShardBytes = Infinity, tokenizerFolder }: WrittenForm & { tokenizerFolder: string },
): Promise<void> {
  const json = (name: string, value: unknown) => writeFileAtomically(join(folder, name), jsonText(value));
  const stored = dtype === 'f32' ? ('F32' as const) : ('BF16' as const);
  const shards = dealOut(
    parameters.map((parameter) => ({ ...parameter, dtype: stored })),
    maxShardBytes,
  );
  const fileName = (index: number) =>
    shards.length === 1 ? 'model.safetensors' : `model-${digits(index + 1)}-of-${digits(shards.length)}.safetensors`;
  for (const [i, tensors] of shards.entries()) await writeTensors(join(folder, fileName(i)), tensors, { format: 'pt' });
  if (shards.length > 1) {
    const map = shards.flatMap((tensors, i) => tensors.map(({ name }): [string, string] => [name, fileName(i)]));
    const total = shards.flat().reduce((sum, tensor) => sum + storedBytes(tensor), 0);
    await json('model.safetensors.index.json', {
      metadata: { total_size: total },
      weight_map: Object.fromEntries(map),
    });
  }
  const described = modelConfigJson(config);
  const dtypeField = 'torch_dtype' in described ? 'torch_dtype' : 'dtype';
  await json('config.json', { ...described, [dtypeField]: dtype === 'f32' ? 'float32' : 'bfloat16' });
  const generation = ['bos_token_id', 'eos_token_id', 'pad_token_id'].map((name) => [name, described[name]]);
  if (config.head === 'causal-lm') await json('generation_config.json', Object.fromEntries(generation));
  for (const name of tokenizerFileNames)
    if (existsSync(join(tokenizerFolder, name))) await copyFile(join(tokenizerFolder, name), join(folder, name));
}

/** Numbers of config.json that transformers takes as floats alone: it refuses to load `"final_logit_softcapping": 30`. */
const floats =
  'initializer_range|layer_norm_epsilon|rms_norm_eps|attn_logit_softcapping|final_logit_softcapping|' +
  'rope_theta|factor|low_freq_factor|high_freq_factor';
const wholeFloat = new RegExp(`^ *"(?:${floats})": -?\\d+(?=,?$)`, 'gm');

/** JSON a property a line, in which a whole number that is a float ends in `.0`, as Python writes it. */
function jsonText(value: unknown): string {
  return `${JSON.stringify(value, null, 2).replace(wholeFloat, '$&.0')}\n`;
}

/** Copies generation_config.json as it is, where a folder has one: it may say more than which tokens are special. */
export async function keepGenerationConfig(from: string, to: string): Promise<void> {
  const name = 'generation_config.json';
  if (existsSync(join(from, name))) await copyFile(join(from, name), join(to, name));
}

function dealOut(tensors: TensorSource[], maxBytes: number): TensorSource[][] {
  const shards: TensorSource[][] = [[]];
  let bytes = 0;
  for (const tensor of tensors) {
    const more = storedBytes(tensor);
    if (bytes > 0 && bytes + more > maxBytes) {
      shards.push([]);
      bytes = 0;
    }
    shards.at(-1)!.push(tensor);
    bytes += more;
  }
  return shards;
}

function digits(count: number): string {
  return String(count).padStart(5, '0');
}
