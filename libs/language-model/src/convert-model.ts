import { existsSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openSafetensors, type SafetensorsFile } from '@surefoot/tensor';
import { readModelConfig } from './model-folder';
import { findWeights } from './weight-files';
import { writeModel, type WrittenForm } from './write-model';

/**
 * Writes the model of a folder once more, aligned for mapping and in the dtype asked for, without a backend and with one piece of
 * one tensor in memory.
 *
 * @param form.dtype default bf16 where every parameter is BF16, else f32
 * @throws DomainError as `readModelConfig`, `findWeights` and `writeModel`
 */
export async function convertModel(
  folder: string,
  out: string,
  form: WrittenForm = {},
): Promise<{ dtype: 'f32' | 'bf16' }> {
  const config = await readModelConfig(folder);
  const { files, parameters } = await findWeights(folder, config);
  const isBf16 = [...parameters.values()].every(({ tensor }) => tensor.dtype === 'BF16');
  const dtype = form.dtype ?? (isBf16 ? 'bf16' : 'f32');
  const opened = new Map<string, SafetensorsFile>();
  try {
    for (const file of files) opened.set(file, await openSafetensors(file));
    const sources = [...parameters].map(([name, { file, tensor }]) => ({
      name,
      shape: tensor.shape,
      pieces: () => opened.get(file)!.pieces(tensor),
    }));
    await writeModel(config, sources, out, { ...form, dtype, tokenizerFolder: folder });
    const generation = join(folder, 'generation_config.json');
    if (existsSync(generation)) await copyFile(generation, join(out, 'generation_config.json'));
  } finally {
    for (const file of opened.values()) await file.close();
  }
  return { dtype };
}
