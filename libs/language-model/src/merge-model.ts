import { openSafetensors, type SafetensorsFile } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import { isStoredInputsFirst, weightChange } from './adapter';
import { assertCopies, readAdapter, type StoredAdapter } from './adapter-folder';
import type { ModelConfig } from './config';
import { readModelConfig } from './model-folder';
import { parameterShapes } from './parameters';
import { findWeights } from './weight-files';
import { keepGenerationConfig, writeModel, type WrittenForm } from './write-model';

/**
 * Writes the model of a folder with an adapter worked into its weights, with one changed matrix in memory at a time. An adapter
 * for sequence classification makes a reward model of a language model.
 *
 * @param form.dtype default bf16 where every parameter of the model is BF16, else f32
 * @throws DomainError as `readModelConfig`, `readAdapter`, `findWeights` and `writeModel`
 *
 * The products are computed on the open backend.
 */
export async function mergeModel(
  folder: string,
  adapterFolder: string,
  out: string,
  form: WrittenForm = {},
): Promise<{ dtype: 'f32' | 'bf16'; changed: number }> {
  const config = await readModelConfig(folder);
  const adapter = await readAdapter(adapterFolder, config);
  const { files, parameters } = await findWeights(folder, config);
  const isBf16 = [...parameters.values()].every(({ tensor }) => tensor.dtype === 'BF16');
  const dtype = form.dtype ?? (isBf16 ? 'bf16' : 'f32');
  const opened = new Map<string, SafetensorsFile>();
  try {
    for (const file of files) opened.set(file, await openSafetensors(file));
    const valuesOf = (name: string) => {
      const { file, tensor } = parameters.get(name)!;
      return opened.get(file)!.pieces(tensor);
    };
    await assertCopies(adapter, valuesOf);
    const sources = parameterShapes(adapter.adapted).map(([name, shape]) => {
      const whole = adapter.tensors.get(name);
      if (whole) return { name, shape, pieces: () => [whole.data] };
      const pieces = () => valuesOf(name);
      const change = changeOf(name, adapter, config);
      return { name, shape, pieces: change ? () => added(pieces(), change) : pieces };
    });
    await writeModel(adapter.adapted, sources, out, { ...form, dtype, tokenizerFolder: folder });
    if (adapter.adapted.head === 'causal-lm') await keepGenerationConfig(folder, out);
  } finally {
    for (const file of opened.values()) await file.close();
  }
  return { dtype, changed: adapter.plan.pairs.length + adapter.plan.saved.length };
}

/** Computes what an adapter adds to a parameter, as it is stored; undefined where it adds nothing. */
function changeOf(name: string, { plan, tensors }: StoredAdapter, config: ModelConfig) {
  const pair = plan.pairs.find((each) => name === `${each.name}.weight`);
  if (!pair) return undefined;
  const matrix = (which: 'A' | 'B') => {
    const { data, shape } = tensors.get(`${pair.name}.lora_${which}.weight`)!;
    return tf.tensor(data, shape);
  };
  return async () => {
    const change = tf.tidy(() =>
      weightChange(
        { a: matrix('A'), b: matrix('B'), scaling: pair.scaling },
        isStoredInputsFirst({ config }, pair.name),
      ),
    );
    try {
      return (await change.data()) as Float32Array;
    } finally {
      change.dispose();
    }
  };
}

async function* added(
  pieces: Iterable<Float32Array> | AsyncIterable<Float32Array>,
  change: () => Promise<Float32Array>,
) {
  const all = await change();
  let at = 0;
  for await (const piece of pieces) {
    const start = at;
    at += piece.length;
    yield piece.map((value, i) => value + all[start + i]!);
  }
}
