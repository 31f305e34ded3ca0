import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { clipByGlobalNorm, entropy, logProbability, whiten } from '@surefoot/tensor';
import { goldenPath, testBackends } from '@surefoot/tensor/testing';
import { nextBeta } from './controllers';
import { everyToken, explainedVariance, mean, policyShift, valueClipFraction } from './diagnostics';
import { gae } from './gae';
import { klK3, logRatios, meanSequenceSum } from './kl';
import { policyLoss, valueLoss } from './loss';
import { resolvePpoConfig, type PpoMode } from './ppo-config';
import { regularise } from './regularisers';
import { tokenRewards } from './token-rewards';

// The references are float64 from float32 inputs; what runs on tensors here is float32.
const float64 = { atol: 1e-9, rtol: 1e-9 };
const float32 = { atol: 1e-5, rtol: 1e-5 };

interface Golden {
  shape: number[];
  data: number[];
}
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the file's fields are described in its own README
type Fields = any;

for (const name of ['five-rollouts', 'no-value-clip']) {
  const path = goldenPath('golden', 'ppo', `${name}.json`);
  (path ? describe : describe.skip).each(testBackends)(`golden ${name}, $title`, ({ open }) => {
    beforeAll(async () => {
      await open();
    });
    golden(path ? JSON.parse(readFileSync(path, 'utf8')) : {});
  });
}

function golden({ inputs, kl_to_reference, token_rewards, ...reference }: Fields): void {
  if (!inputs) return;
  const { hyper, beta, reward_parameters: parameters, response_lengths: lengths } = inputs;
  const offsets = Int32Array.from([0, ...lengths.map((_: number, b: number) => sum(lengths.slice(0, b + 1)))]);
  const kept = inputs.mask.data.map(Boolean) as boolean[];
  // Responses one after the other, as everywhere in this library; padding of the reference is dropped, and is 0 in results.
  const tokens = ({ data, shape }: Golden) => {
    const width = shape[2] ?? 1;
    return data.filter((_, i) => kept[Math.floor(i / width)]);
  };
  const vector = (x: ArrayLike<number>) => tf.tensor1d(Float32Array.from(x));
  const tensor = (field: Golden) => vector(tokens(field));
  const oldLogprobs = tokens(inputs.rollout_logprobs);
  const oldValues = tokens(inputs.rollout_values);
  const kl = logRatios(oldLogprobs, tokens(inputs.reference_logprobs));
  const vanilla = tokens(token_rewards.vanilla);
  const { advantages: raw, returns } = gae(vanilla, oldValues, offsets, reference.gae[0]);
  const advantages = whiten(raw, everyToken(raw.length), { unbiased: false });

  test('KL estimators', () => {
    expect(kl).toBeAllclose(tokens(kl_to_reference.per_token_k1), float64);
    expect(kl.map(klK3)).toBeAllclose(tokens(kl_to_reference.per_token_k3), float64);
    expect([meanSequenceSum(kl, lengths.length)]).toBeAllclose([kl_to_reference.mean_sequence_k1], float64);
    expect([mean(kl), mean(kl.map(klK3))]).toBeAllclose(
      [kl_to_reference.masked_mean_k1, kl_to_reference.masked_mean_k3],
      float64,
    );
  });

  test.each(Object.keys(token_rewards))('token rewards of %s', (mode) => {
    const config = resolvePpoConfig({
      mode: mode as PpoMode,
      member: inputs.member,
      rewardClip: 0,
      weightClampMin: 0,
      weightClampMax: Infinity,
      varianceFloor: parameters.variance_floor,
      uwoLambda: parameters.uwo_lambda,
      softMinTemperature: parameters.soft_min_t,
    });
    const rewards = lengths.map((_: number, b: number) => {
      const members = inputs.member_scores.data.filter((_: number, i: number) => i % lengths.length === b);
      const variance = reference.ensemble.variance_unbiased.data[b];
      return regularise({ members, variance }, { hasEos: true, beta, config });
    });
    const paid = tokenRewards(kl, offsets, rewards, { beta, klPlacement: 'token' });
    expect(paid).toBeAllclose(tokens(token_rewards[mode]), float64);
  });

  test.each(['mean', 'median'] as const)('%s of the members', (reward) => {
    lengths.forEach((_: number, b: number) => {
      const members = inputs.member_scores.data.filter((_: number, i: number) => i % lengths.length === b);
      const config = resolvePpoConfig({ mode: 'vanilla', reward });
      const { score } = regularise({ members, variance: null }, { hasEos: true, beta, config });
      expect([score]).toBeAllclose([reference.ensemble[reward].data[b]], float64);
    });
  });

  test.each(reference.gae as Fields[])('GAE, gamma $gamma, lambda $lambda', (expected) => {
    const { advantages, returns } = gae(vanilla, oldValues, offsets, expected);
    expect(advantages).toBeAllclose(tokens(expected.advantages), float64);
    expect(returns).toBeAllclose(tokens(expected.returns), float64);
    const mask = everyToken(advantages.length);
    expect(whiten(advantages, mask, { unbiased: false })).toBeAllclose(tokens(expected.whitened_population), float64);
  });

  test('losses and their gradients in log-probabilities and values', async () => {
    const { value: policy, grad: policyGradient } = tf.valueAndGrad((logprobs) =>
      policyLoss(logprobs as tf.Tensor1D, {
        oldLogprobs: vector(oldLogprobs),
        advantages: vector(advantages),
        clipRange: hyper.clip,
      }),
    )(tensor(inputs.new_logprobs));
    const valueClipRange = hyper.use_value_clip ? hyper.value_clip : 0;
    const { value, grad: valueGradient } = tf.valueAndGrad((values) =>
      valueLoss(values as tf.Tensor1D, {
        oldValues: vector(oldValues),
        returns: vector(returns),
        valueClipRange,
      }),
    )(tensor(inputs.new_values));
    const { loss } = reference;
    expect(await policy.data()).toBeAllclose([loss.policy_loss], float32);
    expect(await policyGradient.data()).toBeAllclose(tokens(loss.grad_new_logprobs), float32);
    expect(await value.data()).toBeAllclose(
      [hyper.use_value_clip ? loss.value_loss_clipped : loss.value_loss_plain],
      float32,
    );
    expect(await valueGradient.mul(hyper.value_coefficient).data()).toBeAllclose(tokens(loss.grad_new_values), float32);
  });

  test('gradient in the logits, entropy bonus included', async () => {
    const [, , V] = inputs.new_logits.shape;
    const gradient = tf.grad((logits: tf.Tensor) => {
      const ids = Int32Array.from(tokens(inputs.actions));
      const loss = policyLoss(logProbability(logits as tf.Tensor2D, ids), {
        oldLogprobs: vector(oldLogprobs),
        advantages: vector(advantages),
        clipRange: hyper.clip,
      });
      return loss.sub(
        entropy(logits as tf.Tensor2D)
          .mean()
          .mul(hyper.entropy_coefficient),
      );
    })(tf.tensor2d(tokens(inputs.new_logits), [oldLogprobs.length, V]));
    expect(await gradient.data()).toBeAllclose(tokens(reference.loss_from_logits.grad_new_logits), float32);
  });

  test('the first minibatch: loss 0, plain policy gradient', async () => {
    const { value, grad } = tf.valueAndGrad((logprobs) =>
      policyLoss(logprobs as tf.Tensor1D, {
        oldLogprobs: vector(oldLogprobs),
        advantages: vector(advantages),
        clipRange: hyper.clip,
      }),
    )(vector(oldLogprobs));
    expect(await value.data()).toBeAllclose([reference.first_minibatch.policy_loss], float32);
    expect(await grad.data()).toBeAllclose(tokens(reference.first_minibatch.grad_new_logprobs), float32);
  });

  test('diagnostics', () => {
    const { loss } = reference;
    const shift = policyShift(tokens(inputs.new_logprobs), {
      oldLogprobs,
      advantages,
      clipRange: hyper.clip,
      rollouts: lengths.length,
    });
    expect([
      shift.approxKl,
      shift.sequenceKl,
      shift.clipFraction,
      shift.objectiveClipFraction,
      shift.ratioDeviation,
    ]).toBeAllclose(
      [
        loss.approx_kl_k3,
        loss.sequence_kl_k1,
        loss.clip_fraction_tokens_outside,
        loss.clip_fraction_objective_clipped,
        Math.max(loss.ratio_max - 1, 1 - loss.ratio_min),
      ],
      float64,
    );
    const newValues = tokens(inputs.new_values);
    const options = { oldValues, returns, valueClipRange: hyper.value_clip };
    expect([valueClipFraction(newValues, options)]).toBeAllclose([loss.value_clip_fraction], float64);
    expect([explainedVariance(newValues, returns)!]).toBeAllclose([loss.explained_variance], float64);
  });

  test('clipping by the global norm', async () => {
    const { gradient_clipping: expected, loss } = reference;
    const scaled = (field: Golden) => vector(tokens(field)).mul(expected.scale_of_inputs);
    const inputGradients = [scaled(loss.grad_new_logprobs), scaled(loss.grad_new_values)];
    const unclipped = inputGradients[0]!.clone();
    const { gradients, norm } = await clipByGlobalNorm(inputGradients, hyper.max_grad_norm);
    expect([norm]).toBeAllclose([expected.global_norm], float32);
    expect(await gradients[0]!.data()).toBeAllclose(await unclipped.mul(expected.coefficient).data(), float32);
  });
}

const controllers = goldenPath('golden', 'ppo', 'controllers.json');
(controllers ? test : test.skip)('golden controllers', () => {
  for (const row of JSON.parse(readFileSync(controllers!, 'utf8'))) {
    const config = {
      klTarget: row.target,
      klHorizon: row.horizon,
      batchSize: row.samples,
      betaMin: 1e-4,
      betaMax: 100,
    };
    const next = (klControl: 'adaptive' | 'classic') => nextBeta({ ...config, klControl }, row.beta, row.kl);
    expect([next('adaptive'), next('classic')]).toBeAllclose([row.exponential, row.classic], {
      atol: 1e-10,
      rtol: 1e-8,
    });
  }
});

function sum(numbers: number[]): number {
  return numbers.reduce((total, x) => total + x, 0);
}
