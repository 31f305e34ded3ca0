// Forward, backward and AdamW on the mean negative log-probability of random tokens.
import { createAdamW, logProbability, valueAndGradients } from '@surefoot/tensor';
import { disposeModel, hiddenStates, logits, packSequences } from '@surefoot/language-model';
import { policy, texts } from '../models.mjs';
import { sizes } from '../sizes.mjs';
import { tf } from './tfjs.mjs';

export function trainingStep({ size }) {
  const { rows, tokens, ...geometry } = sizes[size];
  // One more token than texts have, as where one ends them.
  const model = policy({ ...geometry, vocabularySize: geometry.vocabularySize + 1 }, { maxPositions: tokens });
  const parameters = [...model.parameters.values()];
  const optimizer = createAdamW(parameters, { weightDecay: 0.01 });
  const batch = packSequences(texts(geometry, rows, tokens));
  const targets = packSequences(texts(geometry, rows, tokens).reverse()).ids;
  return {
    run: async () => {
      const loss = () => tf.neg(tf.mean(logProbability(logits(model, hiddenStates(model, batch)), targets)));
      const { value, gradients } = valueAndGradients(loss, parameters);
      optimizer.step(gradients, 1e-3);
      await value.data();
      tf.dispose([value, gradients]);
    },
    dispose: () => {
      optimizer.dispose();
      disposeModel(model);
    },
  };
}
