import { loadModel, type LanguageModel, type WeightForm } from '@surefoot/language-model';

/** Told what a user should know of how weights are held. */
export type OnWarning = (message: string) => void;

/**
 * Loads a model that is not trained.
 *
 * @throws DomainError as `loadModel`
 *
 * Tensors: the caller owns it.
 */
export async function loadFrozen(
  folder: string,
  { onWarning, ...options }: { head?: 'reward'; weights: WeightForm; onWarning?: OnWarning },
): Promise<LanguageModel> {
  const model = await loadModel(folder, { ...options, trainable: false });
  if (model.weights?.warning) onWarning?.(model.weights.warning);
  return model;
}
