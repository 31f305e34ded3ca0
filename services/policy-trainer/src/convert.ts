import type { ModelIdentity } from '@surefoot/proto/surefoot/common/v1/common';
import {
  RunState as WireRunState,
  type LoraConfig,
  type PolicyValue as WirePolicyValue,
  type PpoConfig as WirePpoConfig,
  type Run as WireRun,
  type RunConfig,
} from '@surefoot/proto/surefoot/policy/v1/policy_trainer';
import { DomainError } from '@surefoot/errors';
import type { PpoConfig } from '@surefoot/ppo';
import { wireText } from '@surefoot/service';
import { peakFields } from './run-record';
import type { PolicyValue, Run, RunState, ScorerIdentity } from './run';
import type { ChosenSettings, Lora, RunSettings } from './run-settings';

const states: Record<RunState, WireRunState> = {
  queued: WireRunState.RUN_STATE_QUEUED,
  running: WireRunState.RUN_STATE_RUNNING,
  completed: WireRunState.RUN_STATE_COMPLETED,
  failed: WireRunState.RUN_STATE_FAILED,
  cancelled: WireRunState.RUN_STATE_CANCELLED,
  interrupted: WireRunState.RUN_STATE_INTERRUPTED,
};

/** What a client chose. Empty words count as not chosen; ranges are checked by `resolveSettings`. */
export function fromRunConfig(config: RunConfig | undefined): ChosenSettings {
  if (!config) throw new DomainError('invalid_argument', 'config is missing');
  const { mode, reward, member, ppo, seed, lora, ...rest } = config;
  const { evaluationSeed, ...hyperParameters } = ppo ?? {};
  return {
    ...rest,
    // A seed too large for a JSON number becomes one that is refused.
    seed: Number(seed),
    lora: lora ? fromLoraConfig(lora) : null,
    ppo: {
      ...hyperParameters,
      member,
      ...(mode !== '' && { mode }),
      ...(reward !== '' && { reward }),
      ...(evaluationSeed !== undefined && { evaluationSeed: Number(evaluationSeed) }),
    } as Partial<PpoConfig>,
  };
}

function fromLoraConfig({ r, alpha = 2 * r, targetModules, targetPattern, rslora }: LoraConfig): Lora {
  if (targetModules.length > 0 && targetPattern !== '')
    throw new DomainError('invalid_argument', 'lora: target_modules and target_pattern are both given: keep one');
  const targets = targetModules.length > 0 ? targetModules : targetPattern || 'all-linear';
  return { r, alpha, targetModules: targets, rslora };
}

function toLoraConfig({ r, alpha, targetModules, rslora }: Lora): LoraConfig {
  const isPattern = typeof targetModules === 'string';
  return {
    r,
    alpha,
    targetModules: isPattern ? [] : targetModules,
    targetPattern: isPattern ? targetModules : '',
    rslora,
  };
}

/** A run as a client sees it. @param folder where it lies */
export function toWireRun(run: Run, folder: string): WireRun {
  const { result, trajectory } = run;
  const peak = trajectory && peakFields(trajectory).peak;
  return {
    id: run.id,
    state: states[run.state],
    config: toRunConfig(run.settings),
    iteration: run.iteration,
    seconds: run.seconds,
    error: run.error && { code: run.error.code, message: wireText(run.error.message) },
    result: result && {
      initial: toWireValue(result.initial),
      final: toWireValue(result.final),
      peak: peak?.gold ?? peak?.judge,
      peakIteration: peak?.iteration,
      goldTrajectory: trajectory?.gold ?? [],
      judgeTrajectory: trajectory?.judge ?? [],
      klTrajectory: trajectory?.kl ?? [],
    },
    ensemble: toWireIdentity(run.ensemble),
    judge: toWireIdentity(run.judge),
    stage: run.stage,
    warnings: (run.warnings ?? []).map(wireText),
    folder,
  };
}

function toRunConfig({ ppo, seed, lora, ...rest }: RunSettings): RunConfig {
  const { mode, reward, member, missingEosPenalty, evaluationSeed, ...hyperParameters } = ppo;
  const wirePpo: WirePpoConfig = {
    ...hyperParameters,
    missingEosPenalty: missingEosPenalty ?? undefined,
    evaluationSeed: BigInt(evaluationSeed),
  };
  const wireLora = lora ? toLoraConfig(lora) : undefined;
  return { ...rest, mode, reward, member, seed: BigInt(seed), ppo: wirePpo, lora: wireLora };
}

function toWireValue({ gold, judge, standardError, kl, reward }: PolicyValue): WirePolicyValue {
  return { gold, judge, standardError, kl, reward };
}

function toWireIdentity(identity: ScorerIdentity | undefined): ModelIdentity | undefined {
  return identity && { name: identity.name, version: identity.version, digest: identity.digest };
}
