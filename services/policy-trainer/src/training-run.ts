import { join } from 'node:path';
import { publishFolder } from '@surefoot/files';
import { disposeModel } from '@surefoot/language-model';
import { createLearner, disposeLearner, learnerState, ppoUpdate, prepareRollouts, restoreLearner } from '@surefoot/ppo';
import { normaliseScores } from '@surefoot/reward';
import { randomStream } from '@surefoot/tensor';
import { becomeBest, nextBest } from './best-policy';
import { loadCheckpoint, saveCheckpoint } from './checkpoint';
import { evaluateFinal, evaluateStart, policyValue, type EvaluatedResponse } from './evaluation';
import { readInitialEvaluation, writeEvaluation } from './evaluation-file';
import { mean } from './mean';
import { createMemo } from './memo';
import { createEventFile } from './event-file';
import { openMetricsFile } from './metrics-file';
import { disposePolicy, policyOf, savePolicy } from './policy';
import { fitOnReferenceSamples, type ReferenceSamples } from './reference-samples';
import { openRolloutsFile } from './rollouts-file';
import { prepareFolder, removeParts, runFiles } from './run-folder';
import { sampleAndScore } from './sampling';
import { loadStart } from './start';
import type { TrainingContext, TrainingJob, TrainingOutcome } from './training-job';

const referenceMemo = createMemo<ReferenceSamples>(8);
const evaluationMemo = createMemo<EvaluatedResponse[]>(8);

/**
 * One PPO run, from its start or from its last checkpoint to its end.
 *
 * Every random number comes from a stream named by seed, purpose, iteration and row, so that a checkpoint holds no state of
 * any generator, and a run that was killed and resumed ends with the same bits as one that was not.
 *
 * @throws DomainError of whatever cannot go on: not_found, invalid_argument, failed_precondition (files, scorers, a
 *   checkpoint of something else), unavailable (scorers), diverged, resource_exhausted (disk); or what `checkStopped` throws
 */
export async function trainingRun(job: TrainingJob, context: TrainingContext): Promise<TrainingOutcome> {
  const { ppo, seed, keepRollouts } = job.settings;
  const file = (name: keyof typeof runFiles) => join(job.folder, runFiles[name]);
  const began = performance.now();
  const cleanUp: (() => unknown)[] = [];
  try {
    // The start policy, which is also the reference, and a learner that goes on where the last checkpoint stands.
    const start = await loadStart(job);
    cleanUp.push(() => disposeModel(start.reference));
    if (start.reference.weights?.warning) context.warn(start.reference.weights.warning);
    for (const warning of start.warnings) context.warn(warning);
    const policy = policyOf(start.reference, job.settings);
    cleanUp.push(() => disposePolicy(policy));
    const learner = createLearner(policy, start.reference, ppo, seed);
    cleanUp.push(() => disposeLearner(learner));
    await removeParts(job.folder);
    await prepareFolder(file('checkpoints'));
    const last = await loadCheckpoint(job.folder, start.fingerprint);
    if (last) restoreLearner(learner, last.learner);
    const metricsFile = await openMetricsFile(file('metrics'), last?.iteration ?? 0);
    cleanUp.push(() => metricsFile.close());
    const eventFile = await createEventFile(job.folder, metricsFile.kept, Date.now() / 1000);
    const rolloutsFile = keepRollouts ? await openRolloutsFile(file('rollouts'), last?.rolloutBytes ?? 0) : null;
    cleanUp.push(() => rolloutsFile?.close());
    const seconds = () => (last?.seconds ?? 0) + (performance.now() - began) / 1000;

    // Reference samples centre and scale the scores; they hang on no seed of this run, so that runs which begin alike share
    // them. The first checkpoint follows at once, since they are the longest part of the beginning.
    const setting = { start, context, ppo };
    const { fingerprint } = start;
    const { referenceSamples, evaluationSamples, evaluationSeed, maxNewTokens, temperature } = ppo;
    const alike = [fingerprint, evaluationSeed, maxNewTokens, temperature];
    const reference: ReferenceSamples = last
      ? { normaliser: last.normaliser, cutShare: last.cutShare ?? 0 }
      : await referenceMemo([alike, referenceSamples], () => fitOnReferenceSamples(setting));
    const { normaliser, cutShare } = reference;
    if (cutShare > 0.5)
      context.warn(
        `${Math.round(100 * cutShare)} % of the start policy's responses are cut at maxNewTokens = ${maxNewTokens}: set ppo.maxNewTokens higher`,
      );
    let best = last?.best;
    let rolloutBytes = last?.rolloutBytes ?? 0;
    const save = async (iteration: number) =>
      saveCheckpoint(job.folder, {
        ...{ iteration, normaliser, cutShare, fingerprint, best, rolloutBytes },
        seconds: seconds(),
        learner: await learnerState(learner),
      });
    if (!last) await save(0);

    // The start policy's value; shared in the same way.
    const stored = last && (await readInitialEvaluation(file('evaluation'), evaluationSamples));
    const initial = stored ?? (await evaluationMemo([alike, evaluationSamples], () => evaluateStart(setting)));
    const evaluation = { prompts: start.evalPrompts.map(({ prompt }) => prompt), seed: evaluationSeed, initial };
    if (!stored) await writeEvaluation(file('evaluation'), evaluation);

    const judgeTrajectory = metricsFile.kept.flatMap(({ metrics }) => metrics['judge/score'] ?? []);
    for (let iteration = (last?.iteration ?? 0) + 1; iteration <= ppo.iterations; iteration += 1) {
      const lap = createStopwatch();
      context.onStage(undefined);

      // Rollouts, in chunks that are scored while the next is sampled.
      const pick = randomStream(seed, 'prompts', iteration);
      const prompts = Array.from({ length: ppo.batchSize }, () => start.prompts[pick.integer(start.prompts.length)]!);
      const { rollouts, scores } = await sampleAndScore(policy, prompts, {
        ...setting,
        chunkSize: ppo.chunkSize,
        random: (row) => randomStream(seed, 'rollout', iteration, row),
        asked: { ensemble: true, judge: true },
      });
      const sampling = lap();

      // Old and reference log-probabilities and values, while the scorers finish.
      const prepared = await prepareRollouts(learner, rollouts);
      const preparing = lap();
      const { members, judge } = await scores;
      const waiting = lap();
      context.checkStopped();

      // The judge's scores go into metrics and name the best policy; nothing that trains reads them.
      if (judge.length > 0) judgeTrajectory.push(mean(judge));
      best = await nextBest(best, { iteration, policy, judgeTrajectory });

      // Centred, scaled scores with their variance; rewards, advantages, epochs and the next beta.
      const normalised = rollouts.map(({ prompt }, i) => normaliseScores(normaliser, members[i]!, prompt.key));
      const diagnostics = await ppoUpdate(learner, prepared, normalised, { iteration });
      const updating = lap();

      // The metrics, then the checkpoint that relies on them.
      const gold = rollouts.flatMap((rollout) => rollout.gold ?? []);
      const metrics = {
        ...diagnostics,
        ...(gold.length > 0 && { 'objective/gold': mean(gold) }),
        ...(judge.length > 0 && { 'judge/score': mean(judge) }),
        'time/sampling': sampling,
        'time/preparing': preparing,
        'time/waiting_for_scores': waiting,
        'time/updating': updating,
        'time/seconds': seconds(),
      };
      if (rolloutsFile) rolloutBytes = await rolloutsFile.append(iteration, rollouts, { members, judge });
      await metricsFile.append({ iteration, metrics });
      await eventFile.append({ iteration, metrics });
      await save(iteration);
      context.onIteration({ iteration, metrics });
    }

    // The final policy meets the same prompts with the same dice.
    const final = await evaluateFinal(policy, normaliser, setting);
    await writeEvaluation(file('evaluation'), { ...evaluation, final });
    const publish = (folder: string) =>
      publishFolder(folder, (beside) => savePolicy(policy, beside, job.paths.policy), { replace: true });
    await publish(file('model'));
    // Nothing else needs the final policy's weights any more.
    if (best) becomeBest(policy, best);
    if (best) await publish(file('bestModel'));
    return { initial: policyValue(initial), final: policyValue(final), seconds: seconds() };
  } finally {
    for (const release of cleanUp.reverse()) await release();
  }
}

/** Seconds since its last call. */
function createStopwatch(): () => number {
  let last = performance.now();
  return () => {
    const before = last;
    last = performance.now();
    return (last - before) / 1000;
  };
}
