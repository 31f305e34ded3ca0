import { DomainError } from '@surefoot/errors';
import { adapterOriginNote, loadModel, type LanguageModel } from '@surefoot/language-model';
import { z } from 'zod';
import type { Context } from './command';
import { option, text } from './option';
import type { Terminal } from './terminal';

/** `--model`, a model folder in Hugging Face layout. */
export const modelFolder = option('<dir>', 'model folder in Hugging Face layout', text);

/** `--adapter`, a folder as PEFT writes it. */
export const adapterFolder = option('<dir>', 'folder of a LoRA adapter on the model', text.optional());

const weightForm = z.enum(['auto', 'f32', 'bf16-mapped']);

/** `--weights`, where a model is loaded. */
export const weights = option('<form>', 'how weights are held: auto, f32 or bf16-mapped', weightForm.default('auto'));

/** `--weights`, where a file says how those of a start policy are held. */
export const policyWeights = option(
  '<form>',
  'how the start policy is held, in place of what the file says: auto, f32 or bf16-mapped (with lora)',
  weightForm.optional(),
);

/** `--dtype`, of weights that are written. */
export const dtype = z.enum(['f32', 'bf16']);

const units: Record<string, number> = { '': 1, KB: 1e3, MB: 1e6, GB: 1e9, KIB: 2 ** 10, MIB: 2 ** 20, GIB: 2 ** 30 };

/** `--max-shard-size`, where weights are written; bytes. */
export const maxShardBytes = option(
  '<size>',
  'divides the weights into files of at most this size, such as 5GB; default one file',
  z
    .union([text, z.number().transform(String)])
    .transform((value) => /^([1-9]\d{0,14})([KMG]i?B)?$/i.exec(value))
    .refine((match) => match !== null, 'must be a size such as 500MB or 5GB')
    .transform((match) => Number(match![1]) * units[(match![2] ?? '').toUpperCase()]!)
    .optional(),
);

/**
 * Loads a model that is computed with and not trained, and says on stderr what the user should know of its weights and adapter.
 *
 * @throws DomainError as `loadModel`
 */
export async function loadForUse(
  folder: string,
  options: Omit<NonNullable<Parameters<typeof loadModel>[1]>, 'trainable'>,
  { terminal }: Pick<Context, 'terminal'>,
): Promise<LanguageModel> {
  const model = await loadModel(folder, { ...options, trainable: false });
  if (options.adapter !== undefined) await noteOrigin(options.adapter, folder, terminal);
  if (model.weights?.warning) terminal.note(model.weights.warning);
  return model;
}

/** Says on stderr where an adapter was made for another model than the one it is put on. */
export async function noteOrigin(adapter: string, model: string, { note }: Pick<Terminal, 'note'>): Promise<void> {
  const origin = await adapterOriginNote(adapter, model);
  if (origin !== undefined) note(origin);
}

/**
 * Refuses ids that a model cannot take.
 *
 * @param where file and line or id, for the error
 * @param room tokens that must fit besides them
 */
export function checkIds(
  ids: ArrayLike<number>,
  { vocabularySize, maxPositions }: { vocabularySize: number; maxPositions: number },
  { where, room = 0 }: { where: string; room?: number },
): void {
  const wrong = Array.from(ids).find((id) => id >= vocabularySize);
  if (wrong !== undefined)
    throw new DomainError(
      'invalid_argument',
      `${where}: the token id ${wrong} is outside the vocabulary of ${vocabularySize}`,
    );
  if (ids.length + room > maxPositions) {
    const [more, remedy] = room > 0 ? [` and ${room} new ones`, ' or lower --max-new-tokens'] : ['', ''];
    throw new DomainError(
      'invalid_argument',
      `${where}: ${ids.length} tokens${more}, the model has ${maxPositions} positions: shorten the text${remedy}`,
    );
  }
}
