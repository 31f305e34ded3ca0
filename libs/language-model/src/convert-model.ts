import { openSafetensors, type SafetensorsFile } from '@surefoot/tensor';
import type { ModelConfig } from './config';
import { readModelConfig } from './model-folder';
import { parameterShapes } from './parameters';
import { findWeights } from './weight-files';
import { keepGenerationConfig, writeModel, type WrittenForm } from './write-model';

/**
 * Writes the model of a folder once more, aligned for mapping and in the dtype asked for, without a backend and with one piece of
 * one tensor in memory.
 *
 * @param form.dtype     default bf16 where every parameter that is written is BF16, else f32
 * @param form.trunkOnly leaves out the head: the model becomes a language model whose head is its embedding table
 * @throws DomainError as `readModelConfig`, `findWeights` and `writeModel`
 */
export async function convertModel(
  folder: string,
  out: string,
  { trunkOnly = false, ...form }: WrittenForm & { trunkOnly?: boolean } = {},
): Promise<{ dtype: 'f32' | 'bf16' }> {
  const stored = await readModelConfig(folder);
  const { files, parameters: all } = await findWeights(folder, stored);
  const config: ModelConfig = trunkOnly ? { ...stored, head: 'causal-lm', tiedHead: true } : stored;
  const written = new Set(parameterShapes(config).map(([name]) => name));
  const parameters = [...all].filter(([name]) => written.has(name));
  const isBf16 = parameters.every(([, { tensor }]) => tensor.dtype === 'BF16');
  const dtype = form.dtype ?? (isBf16 ? 'bf16' : 'f32');
  const opened = new Map<string, SafetensorsFile>();
  try {
    for (const file of files) opened.set(file, await openSafetensors(file));
    const sources = parameters.map(([name, { file, tensor }]) => ({
      name,
      shape: tensor.shape,
      pieces: () => opened.get(file)!.pieces(tensor),
    }));
    await writeModel(config, sources, out, { ...form, dtype, tokenizerFolder: folder });
    await keepGenerationConfig(folder, out);
  } finally {
    for (const file of opened.values()) await file.close();
  }
  return { dtype };
}
