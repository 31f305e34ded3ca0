import { DomainError } from '@surefoot/errors';
import { z } from 'zod';
import { option, text } from './option';

/** `--model`, a model folder in Hugging Face layout. */
export const modelFolder = option('<dir>', 'model folder in Hugging Face layout', text);

/** `--weights`, where a model is loaded. */
export const weights = option(
  '<form>',
  'how weights are held: auto, f32 or bf16-mapped',
  z.enum(['auto', 'f32', 'bf16-mapped']).default('auto'),
);

/** @throws DomainError failed_precondition where this build cannot hold weights so */
export function refuseUnavailableWeights(form: 'auto' | 'f32' | 'bf16-mapped'): void {
  if (form === 'bf16-mapped')
    throw new DomainError(
      'failed_precondition',
      '--weights bf16-mapped is not available in this build: use auto or f32',
    );
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
  if (ids.length + room > maxPositions)
    throw new DomainError(
      'invalid_argument',
      `${where}: ${ids.length} tokens${room > 0 ? ` and ${room} new ones` : ''}, the model has ${maxPositions} positions`,
    );
}
