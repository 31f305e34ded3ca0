import { sequenceLogProbabilities, type LanguageModel } from '@surefoot/language-model';
import { regularise, type PpoConfig } from '@surefoot/ppo';
import { normaliseScores, type ScoreNormaliser } from '@surefoot/reward';
import { randomStream } from '@surefoot/tensor';
import { mean } from './mean';
import type { PolicyValue } from './run';
import { sampleAndScore, type SampledRollout } from './sampling';
import type { Start } from './start';
import type { Scores, TrainingContext } from './training-job';

/** One response of an evaluated policy, as evaluation.jsonl.gz keeps it. */
export interface EvaluatedResponse {
  response: string;
  /** Absent without an oracle. */
  gold?: number;
  /** Raw judge score; absent without a judge. */
  judge?: number;
  /** Base score in standard deviations of the reference samples, before clipping; absent for the initial policy. */
  reward?: number;
  /** Log-ratio of the whole response to the reference, nats; 0 for the initial policy. */
  kl: number;
}

/** What both evaluations of a run share. */
export interface EvaluationSetting {
  start: Start;
  context: TrainingContext;
  ppo: PpoConfig;
}

// Sampling is cheapest in wide batches; the scorers' own batches are smaller.
const chunkSize = 128;

/**
 * Evaluates the start policy: `evaluationSamples` responses to the evaluation prompts in turn, row i from the stream
 * (`evaluationSeed`, i), so that every policy meets the same prompts with the same dice.
 */
export async function evaluateStart(setting: EvaluationSetting): Promise<EvaluatedResponse[]> {
  const stage = 'evaluation of the start policy';
  const { rollouts, scores } = await sampleForEvaluation(setting.start.reference, setting, { ensemble: false, stage });
  return combine(rollouts, await scores, () => ({ kl: 0 }));
}

/** Evaluates the final policy in the same way; also its reward, where the normaliser knows the prompts, and its KL. */
export async function evaluateFinal(
  policy: LanguageModel,
  normaliser: ScoreNormaliser,
  setting: EvaluationSetting,
): Promise<EvaluatedResponse[]> {
  const { start, ppo } = setting;
  const isKnown = ({ key }: { key: string }) => normaliser.centring === 'all' || Object.hasOwn(normaliser.means, key);
  const ensemble = start.evalPrompts.every(isKnown);
  const { rollouts, scores } = await sampleForEvaluation(policy, setting, {
    ensemble,
    stage: 'evaluation of the final policy',
  });
  const kl = await sequenceKl(policy, start.reference, rollouts, ppo.temperature);
  const { members, judge } = await scores;
  return combine(rollouts, { members, judge }, ({ prompt, hasEos }, i) => {
    if (!ensemble) return { kl: kl[i]! };
    const normalised = normaliseScores(normaliser, members[i]!, prompt.key);
    return { kl: kl[i]!, reward: regularise(normalised, { hasEos, beta: ppo.beta, config: ppo }).score };
  });
}

/** Means over the responses, with the standard error of the primary measure: gold where present, else judge. */
export function policyValue(responses: EvaluatedResponse[]): PolicyValue {
  const meanOf = (name: 'gold' | 'judge' | 'reward') => {
    const values = responses.flatMap((response) => response[name] ?? []);
    return values.length > 0 ? { [name]: mean(values) } : {};
  };
  const primary = responses.flatMap(({ gold, judge }) => gold ?? judge ?? []);
  return {
    ...meanOf('gold'),
    ...meanOf('judge'),
    kl: mean(responses.map(({ kl }) => kl)),
    ...meanOf('reward'),
    ...(primary.length > 1 && { standardError: standardError(primary) }),
  };
}

async function sampleForEvaluation(
  policy: LanguageModel,
  { start, context, ppo }: EvaluationSetting,
  { ensemble, stage }: { ensemble: boolean; stage: string },
) {
  const { evaluationSamples, evaluationSeed } = ppo;
  const prompts = Array.from({ length: evaluationSamples }, (_, i) => start.evalPrompts[i % start.evalPrompts.length]!);
  const random = (row: number) => randomStream(evaluationSeed, 'evaluation', row);
  const asked = { ensemble, judge: true };
  return sampleAndScore(policy, prompts, { start, context, ppo, chunkSize, random, asked, stage });
}

function combine(
  rollouts: SampledRollout[],
  { judge }: Scores,
  rest: (rollout: SampledRollout, i: number) => Pick<EvaluatedResponse, 'kl' | 'reward'>,
): EvaluatedResponse[] {
  return rollouts.map((rollout, i) => ({
    response: rollout.response,
    ...(rollout.gold !== undefined && { gold: rollout.gold }),
    ...(judge.length > 0 && { judge: judge[i]! }),
    ...rest(rollout, i),
  }));
}

/** Log-ratio of each response to the reference, nats. */
async function sequenceKl(
  policy: LanguageModel,
  reference: LanguageModel,
  rollouts: SampledRollout[],
  temperature: number,
): Promise<Float64Array> {
  const sequences = rollouts.map(({ promptIds, responseIds }) => Int32Array.of(...promptIds, ...responseIds));
  const now = await sequenceLogProbabilities(policy, sequences, { temperature });
  const before = await sequenceLogProbabilities(reference, sequences, { temperature });
  return Float64Array.from(rollouts, ({ promptIds }, i) => {
    // One log-probability for every token but the first, so that the response's begin one place early.
    const first = promptIds.length - 1;
    const [p, q] = [now.logProbabilities[i]!, before.logProbabilities[i]!];
    let sum = 0;
    for (let t = first; t < p.length; t += 1) sum += p[t]! - q[t]!;
    return sum;
  });
}

function standardError(values: number[]): number {
  const centre = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - centre) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length);
}
