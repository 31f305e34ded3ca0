import type { CommandSpec } from './command';
import { bandit } from './commands/bandit';
import { doctor } from './commands/doctor';
import { experimentIndex } from './commands/experiment-index';
import { experimentRun } from './commands/experiment-run';
import { gate } from './commands/gate';
import { generate } from './commands/generate';
import { logprobs } from './commands/logprobs';
import { modelConvert } from './commands/model-convert';
import { modelCreate } from './commands/model-create';
import { modelInspect } from './commands/model-inspect';
import { modelMerge } from './commands/model-merge';
import { modelPretrain } from './commands/model-pretrain';
import { modelPull } from './commands/model-pull';
import { quickstart } from './commands/quickstart';
import { report } from './commands/report';
import { rewardBench } from './commands/rewardbench';
import { rewardCalibrate } from './commands/reward-calibrate';
import { rewardDisagree } from './commands/reward-disagree';
import { rewardImport } from './commands/reward-import';
import { rewardSelect } from './commands/reward-select';
import { rewardTrain } from './commands/reward-train';
import { runs } from './commands/runs';
import { score } from './commands/score';
import { serve } from './commands/serve';
import { stop } from './commands/stop';
import { taskWrite } from './commands/task-write';
import { tokenize } from './commands/tokenize';
import { train } from './commands/train';

/** Every command, in the order of the help. */
export const commands: CommandSpec[] = [
  quickstart,
  taskWrite,
  modelInspect,
  modelCreate,
  modelConvert,
  modelMerge,
  modelPretrain,
  modelPull,
  tokenize,
  logprobs,
  generate,
  rewardTrain,
  rewardImport,
  rewardCalibrate,
  rewardDisagree,
  rewardSelect,
  rewardBench,
  score,
  ...serve,
  train,
  ...runs,
  experimentRun,
  experimentIndex,
  report,
  gate,
  bandit,
  stop,
  doctor,
];
