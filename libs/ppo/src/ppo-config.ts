import { DomainError } from '@surefoot/errors';
import { choice, integer, real, realOrNull, type Field } from './config-field';

const modes = [
  'vanilla',
  'variance-weighted-kl',
  'variance-weighted-kl-exact',
  'inverse-variance',
  'uwo',
  'wco',
  'soft-min',
] as const;

/** How uncertainty enters the objective; each mode's formula stands in regularisers.ts. */
export type PpoMode = (typeof modes)[number];

/** Everything that decides a PPO run besides models, prompts and its seed. Defaults and ranges: `fields` below. */
export interface PpoConfig {
  /** Regulariser. */
  mode: PpoMode;
  /** The base score of modes that do not name their own: one deployed member, or a statistic of all. */
  reward: 'member' | 'mean' | 'median';
  /** Which member is the reward where `reward` is `member`, [0, K). */
  member: number;
  /** Batches of rollouts. */
  iterations: number;
  /** Rollouts of an iteration, B. */
  batchSize: number;
  /** Rollouts of an optimizer step; divides `batchSize`, which is its default. */
  minibatchSize: number;
  /** Passes over a batch. */
  epochs: number;
  /** Adam step size of the policy. */
  learningRate: number;
  /** Adam step size of the value network. */
  valueLearningRate: number;
  /** Course of both over the iterations: `constant`, or `linear`, which falls to 0 after the last. */
  learningRateSchedule: 'constant' | 'linear';
  /** Discount per token. */
  gamma: number;
  /** GAE lambda. */
  lambda: number;
  /** Clip range of the probability ratio. */
  clipRange: number;
  /** Clip range of the value; 0 = no clipping. */
  valueClipRange: number;
  /** Weight of the value loss. */
  valueCoefficient: number;
  /** Weight of the entropy bonus. */
  entropyCoefficient: number;
  /** Bound of the global norm of the policy's gradient, and separately of the value network's. */
  maxGradNorm: number;
  /** KL control: `adaptive` (exponential), `classic` (proportional, with a horizon) or `fixed`. */
  klControl: 'adaptive' | 'classic' | 'fixed';
  /** Target of the plain sequence KL to the reference, nats. */
  klTarget: number;
  /** Strength of the penalty at the start. */
  beta: number;
  /** Lower bound of an adapted beta. */
  betaMin: number;
  /** Upper bound of an adapted beta. */
  betaMax: number;
  /** Horizon of the classic controller, rollouts. */
  klHorizon: number;
  /** Mean sequence KL to the rollout policy, nats, above which an iteration's epochs stop; 0 = never. */
  earlyStopKl: number;
  /** Where the KL penalty sits: on every token, or its sum on the last one. */
  klPlacement: 'token' | 'terminal';
  /** Bound of the absolute normalised base score, standard deviations; 0 = none. */
  rewardClip: number;
  /** Lower bound of the uncertainty weight. */
  weightClampMin: number;
  /** Upper bound of the uncertainty weight, may be infinite. */
  weightClampMax: number;
  /** Weight of the variance in `uwo`. */
  uwoLambda: number;
  /** Temperature of `soft-min`. */
  softMinTemperature: number;
  /** Floor of the variance in `inverse-variance`. */
  varianceFloor: number;
  /** Sampling temperature; log-probabilities everywhere are taken at it. */
  temperature: number;
  /** Longest response, tokens; the default is the built-in task's. */
  maxNewTokens: number;
  /** Reward in place of the score of a response without an end-of-sequence token; null = the score stands. */
  missingEosPenalty: number | null;
  /** Adam's decay of the first moment. */
  adamBeta1: number;
  /** Adam's decay of the second moment. */
  adamBeta2: number;
  /** Adam's epsilon. */
  adamEpsilon: number;
  /** Where it is added: `outside` the bias correction of the root (PyTorch), or `inside` (TensorFlow). */
  adamEpsilonMode: 'outside' | 'inside';
  /** Decoupled weight decay of the policy. */
  weightDecay: number;
  /** Samples of the start policy that centre and scale the scores. */
  referenceSamples: number;
  /** Responses of the evaluation of the initial and of the final policy. */
  evaluationSamples: number;
  /** Rollouts sampled and sent to the scorers at once, while the next are sampled. */
  chunkSize: number;
  /** Seed of the evaluation's sampling, the same for every run of an experiment. */
  evaluationSeed: number;
}

// Ranges are those of the contract (proto PpoConfig); sources of the defaults: README.md.
const fields: { [Name in keyof PpoConfig]: Field<PpoConfig[Name]> } = {
  mode: choice('variance-weighted-kl', modes),
  reward: choice('member', ['member', 'mean', 'median']),
  member: integer(0, 0, 4095),
  iterations: integer(60, 1, 1_000_000),
  batchSize: integer(64, 1, 65_536),
  minibatchSize: integer(64, 1, 65_536),
  epochs: integer(3, 1, 100),
  learningRate: real(4e-4, '(0, 1]'),
  valueLearningRate: real(3e-3, '(0, 1]'),
  learningRateSchedule: choice('constant', ['constant', 'linear']),
  gamma: real(1, '(0, 1]'),
  lambda: real(0.95, '[0, 1]'),
  clipRange: real(0.2, '(0, 1)'),
  valueClipRange: real(0.2, '[0, Infinity)'),
  valueCoefficient: real(0.1, '[0, Infinity)'),
  entropyCoefficient: real(0, '[0, Infinity)'),
  maxGradNorm: real(1, '(0, Infinity)'),
  klControl: choice('adaptive', ['adaptive', 'classic', 'fixed']),
  klTarget: real(3, '(0, Infinity)'),
  beta: real(0.2, '(0, Infinity)'),
  betaMin: real(1e-4, '(0, Infinity)'),
  betaMax: real(100, '(0, Infinity)'),
  klHorizon: real(10_000, '(0, Infinity)'),
  earlyStopKl: real(1, '[0, Infinity)'),
  klPlacement: choice('token', ['token', 'terminal']),
  rewardClip: real(2.5, '[0, Infinity)'),
  weightClampMin: real(0.1, '[0, Infinity)'),
  weightClampMax: real(10, '(0, Infinity]'),
  uwoLambda: real(0.3, '[0, Infinity)'),
  softMinTemperature: real(1, '(0, Infinity)'),
  varianceFloor: real(0.1, '(0, Infinity)'),
  temperature: real(1, '(0, Infinity)'),
  maxNewTokens: integer(12, 1, 4096),
  missingEosPenalty: realOrNull(null, '(-Infinity, Infinity)'),
  adamBeta1: real(0.9, '[0, 1)'),
  adamBeta2: real(0.99, '[0, 1)'),
  adamEpsilon: real(1e-6, '(0, Infinity)'),
  adamEpsilonMode: choice('outside', ['outside', 'inside']),
  weightDecay: real(0, '[0, Infinity)'),
  referenceSamples: integer(4096, 2, 10_000_000),
  evaluationSamples: integer(2048, 1, 10_000_000),
  chunkSize: integer(32, 1, 65_536),
  evaluationSeed: integer(7, 0, Number.MAX_SAFE_INTEGER),
};

/** Every default in one place: the settings of the built-in task's headline experiment, with a clamped weight. */
export const ppoDefaults: Readonly<PpoConfig> = Object.freeze(
  Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.default])) as unknown as PpoConfig,
);

/**
 * Fills the defaults in and checks every field.
 *
 * @param partial what the user chose; `minibatchSize` defaults to the `batchSize` chosen; undefined fields count as absent
 * @throws DomainError invalid_argument naming every unknown field, every value out of range and every contradiction at once
 */
export function resolvePpoConfig(partial: Partial<PpoConfig>): PpoConfig {
  if (typeof partial !== 'object' || partial === null || Array.isArray(partial))
    throw new DomainError('invalid_argument', 'PPO configuration: expected an object of named hyper-parameters');
  const given = Object.entries(partial).filter(([, value]) => value !== undefined);
  const config = { ...ppoDefaults, ...(Object.fromEntries(given) as Partial<PpoConfig>) };
  if (partial.minibatchSize === undefined) config.minibatchSize = config.batchSize;

  const problems = given.flatMap(([name, value]) => {
    if (!Object.hasOwn(fields, name)) return [`unknown field ${name}`];
    const expected = fields[name as keyof PpoConfig].expected(value);
    return expected === undefined ? [] : [`${name} must be ${expected}, not ${describe(value)}`];
  });
  problems.push(...contradictions(config));
  if (problems.length > 0) throw new DomainError('invalid_argument', `PPO configuration: ${problems.join('; ')}`);
  return config;
}

// Comparisons with NaN or a wrong type are false, so that a field already reported is not reported twice.
function contradictions(config: PpoConfig): string[] {
  const { batchSize, minibatchSize, beta, betaMin, betaMax, weightClampMin, weightClampMax, klControl } = config;
  const problems: string[] = [];
  if (batchSize % minibatchSize > 0)
    problems.push(`minibatchSize ${minibatchSize} does not divide batchSize ${batchSize}`);
  if (betaMin > betaMax) problems.push(`betaMin ${betaMin} is above betaMax ${betaMax}`);
  else if (klControl !== 'fixed' && (beta < betaMin || beta > betaMax))
    problems.push(`beta ${beta} is outside [betaMin, betaMax] = [${betaMin}, ${betaMax}]`);
  if (weightClampMin > weightClampMax)
    problems.push(`weightClampMin ${weightClampMin} is above weightClampMax ${weightClampMax}`);
  return problems;
}

const describe = (value: unknown) => (typeof value === 'string' ? JSON.stringify(value) : String(value));
