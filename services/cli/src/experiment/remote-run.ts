import { RunState, type PolicyValue, type Run } from '@surefoot/proto/surefoot/policy/v1/policy_trainer';
import { peakOf } from '@surefoot/risk';
import { stateName } from '../trainer-client';

/** run.json of a run whose trainer keeps its own elsewhere: the same fields, from what it answers. */
export function remoteRunJson(run: Run): object {
  const { config, result, error, warnings } = run;
  const trajectories = {
    gold: result?.goldTrajectory ?? [],
    judge: result?.judgeTrajectory ?? [],
    kl: result?.klTrajectory ?? [],
  };
  const measure = trajectories.gold.length > 0 ? 'gold' : 'judge';
  const peak = peakOf(trajectories[measure]);
  return {
    id: run.id,
    mode: config?.mode,
    reward: config?.reward,
    member: config?.member,
    seed: Number(config?.seed ?? 0),
    status: stateName(run.state),
    iterations: run.iteration,
    ...(result && { initial: policyValue(result.initial), final: policyValue(result.final) }),
    ...(peak && { peak: { [measure]: peak.value, iteration: peak.iteration }, dropFromPeak: peak.drop }),
    trajectory: Object.fromEntries(Object.entries(trajectories).filter(([, values]) => values.length > 0)),
    seconds: run.seconds,
    ...(error && { error: { code: error.code, message: error.message } }),
    ...(warnings.length > 0 && { warnings }),
  };
}

/** Where the final policy of a run lies on its trainer's machine; undefined before it is there. */
export function modelFolder({ state, folder }: Run): string | undefined {
  return state === RunState.RUN_STATE_COMPLETED && folder !== '' ? `${folder}/model` : undefined;
}

/** In the order of a trainer's own run.json. */
function policyValue(value: PolicyValue | undefined): object {
  const { gold, judge, kl, reward, standardError } = value ?? {};
  const parts = Object.entries({ gold, judge, kl, reward, standardError });
  return Object.fromEntries(parts.filter(([, part]) => part !== undefined));
}
