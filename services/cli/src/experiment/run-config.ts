import { dirname, relative, sep } from 'node:path';
import type { PpoConfig } from '@surefoot/ppo';
import type {
  LoraConfig,
  PpoConfig as WirePpoConfig,
  RunConfig,
} from '@surefoot/proto/surefoot/policy/v1/policy_trainer';
import type { ExperimentConfig, Lora } from './config';
import type { PlannedRun } from './plan';

/** The files of an experiment as a trainer is told them. */
export type ExperimentFiles = Pick<ExperimentConfig, 'policy' | 'prompts' | 'evalPrompts' | 'gold'>;

/** How its policies are held and trained. */
type Training = Pick<ExperimentConfig, 'lora' | 'weights'>;

/** Where the scorers of a run listen; empty = the trainer's own setting. */
export interface ScorerAddresses {
  ensemble: string;
  /** `none` = no judge. */
  judge: string;
}

/**
 * The request that makes a trainer do a planned run.
 *
 * @param options.dataFolder root of the trainer's paths; without it they stay as they are
 */
export function runConfig(
  planned: Pick<PlannedRun, 'method' | 'member' | 'seed'>,
  files: ExperimentFiles & Training,
  options: { dataFolder?: string; addresses: ScorerAddresses; keepRollouts: boolean },
): RunConfig {
  const { dataFolder } = options;
  const under = (path: string) =>
    dataFolder === undefined ? path : relative(dataFolder, path).split(sep).join('/') || '.';
  const { ppo } = planned.method;
  return {
    policy: under(files.policy),
    prompts: under(files.prompts),
    evalPrompts: under(files.evalPrompts),
    gold: files.gold === undefined ? '' : under(files.gold),
    mode: ppo.mode,
    reward: ppo.reward,
    member: planned.member,
    seed: BigInt(planned.seed),
    ppo: wirePpo(ppo),
    ensembleAddress: options.addresses.ensemble,
    judgeAddress: options.addresses.judge,
    keepRollouts: options.keepRollouts,
    lora: files.lora && wireLora(files.lora),
    weights: files.weights ?? '',
  };
}

/** The deepest folder that holds all of an experiment's files. */
export function commonFolder({ policy, prompts, evalPrompts, gold }: ExperimentFiles): string {
  const folders = [policy, ...[prompts, evalPrompts, gold].filter((path) => path !== undefined).map(dirname)];
  return folders.reduce((common, folder) => {
    while (folder !== common && !folder.startsWith(common.endsWith(sep) ? common : common + sep))
      common = dirname(common);
    return common;
  });
}

function wireLora({ r, alpha, targetModules, rslora = false }: Lora): LoraConfig {
  const targets = Array.isArray(targetModules)
    ? { targetModules, targetPattern: '' }
    : { targetModules: [], targetPattern: targetModules ?? '' };
  return { r, alpha, ...targets, rslora };
}

// Mode, reward and member are fields of the run; the encoder passes over them here.
function wirePpo({ evaluationSeed, missingEosPenalty, ...rest }: PpoConfig): WirePpoConfig {
  return { ...rest, evaluationSeed: BigInt(evaluationSeed), missingEosPenalty: missingEosPenalty ?? undefined };
}
