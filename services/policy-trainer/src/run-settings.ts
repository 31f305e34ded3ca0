import { DomainError } from '@surefoot/errors';
import { parseAdapterConfig, type AdapterSettings, type WeightForm } from '@surefoot/language-model';
import { resolvePpoConfig, type PpoConfig } from '@surefoot/ppo';
import { parseHostAndPort } from '@surefoot/service';

/** Everything that decides the result of a run, every default filled in. */
export interface RunSettings {
  /** Model folder of the start policy, which is also the reference; this and the next three under the data directory. */
  policy: string;
  /** JSONL of prompts. */
  prompts: string;
  /** JSONL of evaluation prompts. */
  evalPrompts: string;
  /** The built-in task's oracle; empty = none. */
  gold: string;
  /** Seed of everything random in the run, 0..2^53 - 1. */
  seed: number;
  ppo: PpoConfig;
  /** Addresses of the reward ensemble's replicas, separated by commas. */
  ensembleAddress: string;
  /** Addresses of the judge's replicas; `none` = no judge. */
  judgeAddress: string;
  /** Whether every rollout is written to rollouts.jsonl.gz. */
  keepRollouts: boolean;
  /** The adapter that is trained; null = the whole policy. */
  lora: Lora | null;
  /** How the start policy's weights are held. */
  weights: WeightForm;
}

/** The adapter of a run. */
export type Lora = Required<Pick<AdapterSettings, 'r' | 'alpha' | 'targetModules' | 'rslora'>>;

/** What a client chose; absent and empty fields take their defaults. */
export type ChosenSettings = Omit<RunSettings, 'ppo' | 'weights'> & { ppo: Partial<PpoConfig>; weights: string };

/** What a service's runs have unless they say otherwise. */
export interface RunDefaults {
  ensembleAddress: string;
  judgeAddress: string;
  /** `bf16-mapped` holds for runs with `lora` alone. */
  weights: WeightForm;
}

const weightForms: readonly string[] = ['auto', 'f32', 'bf16-mapped'] satisfies WeightForm[];

/**
 * Fills in the defaults and checks every field that can be checked without opening a file or asking a scorer.
 *
 * @throws DomainError invalid_argument listing every problem
 */
export function resolveSettings(chosen: ChosenSettings, defaults: RunDefaults): RunSettings {
  const problems: string[] = [];
  if (chosen.policy === '') problems.push('policy: a model folder is needed');
  if (chosen.prompts === '') problems.push('prompts: a file of prompts is needed');
  if (!Number.isSafeInteger(chosen.seed) || chosen.seed < 0)
    problems.push(`seed must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`);
  const ensembleAddress = chosen.ensembleAddress || defaults.ensembleAddress;
  const judgeAddress = chosen.judgeAddress || defaults.judgeAddress;
  problems.push(...addressProblems('ensemble_address', ensembleAddress));
  if (judgeAddress !== 'none') problems.push(...addressProblems('judge_address', judgeAddress));
  // Weights that are trained cannot be mapped: a service's default is then passed over, a client's word refused.
  const isMappable = chosen.lora !== null || defaults.weights !== 'bf16-mapped';
  const weights = (chosen.weights || (isMappable ? defaults.weights : 'auto')) as WeightForm;
  if (!weightForms.includes(weights)) problems.push(`weights must be ${weightForms.join(', ')}, not ${weights}`);
  if (weights === 'bf16-mapped' && !chosen.lora)
    problems.push('weights: bf16-mapped holds weights that are not trained, so it needs lora');
  problems.push(...loraProblems(chosen.lora));
  try {
    const ppo = resolvePpoConfig(chosen.ppo);
    if (problems.length === 0)
      return {
        ...chosen,
        ...{ evalPrompts: chosen.evalPrompts || chosen.prompts, ensembleAddress, judgeAddress, weights, ppo },
      };
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    problems.push(error.message);
  }
  throw new DomainError('invalid_argument', problems.join('; '));
}

/**
 * What a resumed run's settings change, each as `name: before → after`. Addresses are where scorers listen today, not
 * what they are: their digests are compared when they answer.
 */
export function settingsDifferences(before: RunSettings, after: RunSettings): string[] {
  const flat = ({ ppo, ensembleAddress: _e, judgeAddress, lora, ...rest }: RunSettings): Record<string, unknown> => ({
    ...rest,
    lora: lora ? JSON.stringify(lora) : 'none',
    judge: judgeAddress === 'none' ? 'none' : 'asked',
    ...ppo,
  });
  const [old, fresh] = [flat(before), flat(after)];
  return [...new Set([...Object.keys(old), ...Object.keys(fresh)])]
    .filter((name) => old[name] !== fresh[name])
    .map((name) => `${name}: ${String(old[name])} → ${String(fresh[name])}`);
}

/** What can be told without the model. */
function loraProblems(lora: Lora | null): string[] {
  if (!lora) return [];
  const { r, alpha: lora_alpha, targetModules: target_modules, rslora: use_rslora } = lora;
  try {
    parseAdapterConfig({ peft_type: 'LORA', r, lora_alpha, target_modules, use_rslora }, 'lora');
    return [];
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    return [error.message];
  }
}

function addressProblems(field: string, addresses: string): string[] {
  return addresses
    .split(',')
    .filter((address) => !((parseHostAndPort(address.trim())?.port ?? 0) > 0))
    .map((address) => `${field}: ${JSON.stringify(address.slice(0, 100))} is not host:port`);
}
