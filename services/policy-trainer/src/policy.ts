import {
  cloneModel,
  createAdapter,
  disposeAdapter,
  disposeModel,
  saveAdapter,
  saveModel,
  type LanguageModel,
} from '@surefoot/language-model';
import type { RunSettings } from './run-settings';

/**
 * The policy that a run begins with: a copy of the reference, or the reference itself with an adapter on it, whose parameters
 * are then the only ones that are trained. An adapter changes nothing at first, so both begin as the reference.
 */
export function policyOf(reference: LanguageModel, { lora, seed }: Pick<RunSettings, 'lora' | 'seed'>): LanguageModel {
  return lora ? createAdapter(reference, lora, seed) : cloneModel(reference);
}

/** Frees what `policyOf` made. */
export function disposePolicy(policy: LanguageModel): void {
  if (policy.adapter) disposeAdapter(policy);
  else disposeModel(policy);
}

/**
 * Writes a policy as a model folder, or as the folder of an adapter.
 *
 * @param start folder of the start policy, whose tokenizer it has and which an adapter belongs to
 */
export async function savePolicy(policy: LanguageModel, folder: string, start: string): Promise<void> {
  if (policy.adapter) await saveAdapter(policy, folder, { base: start, tokenizerFolder: start });
  else await saveModel(policy, folder, { tokenizerFolder: start });
}
