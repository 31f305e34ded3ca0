// One iteration of PPO without services: sample rollouts, score them by ten members, measure, update.
import { cloneModel, disposeModel, sample } from '@surefoot/language-model';
import { createLearner, disposeLearner, ppoUpdate, prepareRollouts, resolvePpoConfig } from '@surefoot/ppo';
import { fitScoreNormaliser, normaliseScores, scoreSequences, wholeModels } from '@surefoot/reward';
import { randomStream } from '@surefoot/tensor';
import { members, policy, texts } from '../models.mjs';
import { ppo, sizes } from '../sizes.mjs';

export async function ppoIteration({ size }) {
  const model = policy(sizes[size]);
  const reference = cloneModel(model);
  const ensemble = { members: wholeModels(members(sizes[size])), maxTokens: 128 };
  const settings = { batchSize: ppo.rollouts, minibatchSize: ppo.rollouts, epochs: ppo.epochs, earlyStopKl: 0 };
  const learner = createLearner(model, reference, resolvePpoConfig(settings), 1);
  const prompts = texts(sizes[size], ppo.rollouts, ppo.prompt);
  let iteration = 0;

  async function rollOut() {
    const random = (row) => randomStream(1, 'bench', iteration, row);
    const samples = await sample(model, prompts, { maxNewTokens: ppo.response, eosTokenIds: [], random });
    iteration += 1;
    return samples.map(({ ids }, row) => ({ promptIds: prompts[row], responseIds: ids, hasEos: true }));
  }
  const score = (rollouts) =>
    scoreSequences(
      ensemble,
      rollouts.map(({ promptIds, responseIds }) => Int32Array.of(...promptIds, ...responseIds)),
    );
  const scores = await score(await rollOut());
  const normaliser = fitScoreNormaliser({ scores, promptKeys: scores.map(() => '') });

  return {
    /** Milliseconds of each part. */
    run: async () => {
      const stamps = [performance.now()];
      const stamp = () => stamps.push(performance.now());
      const rollouts = await rollOut();
      stamp();
      const raw = await score(rollouts);
      stamp();
      const prepared = await prepareRollouts(learner, rollouts);
      stamp();
      const normalised = raw.map((row) => normaliseScores(normaliser, row, ''));
      await ppoUpdate(learner, prepared, normalised, { iteration: 1 });
      stamp();
      const names = ['sample', 'score', 'prepare', 'update'];
      return Object.fromEntries(names.map((name, i) => [name, stamps[i + 1] - stamps[i]]));
    },
    dispose: () => {
      disposeLearner(learner);
      [model, reference].forEach(disposeModel);
      ensemble.members.dispose();
    },
  };
}
