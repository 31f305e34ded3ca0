import type { LanguageModel, ModelConfig, TokenBatch } from '@surefoot/language-model';
import { disposeModel, rewardScores } from '@surefoot/language-model';
import * as tf from '@tensorflow/tfjs';

/** Members that are loaded, whatever their kind. */
export interface LoadedMembers {
  /** How many. */
  count: number;
  /** The models that a batch goes through, for planning its memory. */
  configs: ModelConfig[];
  /**
   * Raw scores of every member, read at each sequence's last token.
   *
   * @returns [B, count]; the caller disposes it
   */
  scoreBatch(batch: TokenBatch): tf.Tensor2D;
  dispose(): void;
}

/** Members that are models of their own. @param models reward models; disposed with the members */
export function wholeModels(models: LanguageModel[]): LoadedMembers {
  return {
    count: models.length,
    configs: models.map(({ config }) => config),
    // Each in a scope of its own, so that what one pass held is gone before the next.
    scoreBatch: (batch) =>
      tf.tidy(() =>
        tf.stack(
          models.map((model) => tf.tidy(() => rewardScores(model, batch))),
          1,
        ),
      ) as tf.Tensor2D,
    dispose: () => models.forEach(disposeModel),
  };
}
