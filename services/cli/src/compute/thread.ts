import { publishFolder } from '@surefoot/files';
import {
  disposeModel,
  loadModel,
  saveModel,
  trainNextToken,
  type TrainNextTokenOptions,
} from '@surefoot/language-model';
import { fitEnsemble, writeBuiltinTask, type BuiltinTaskOptions, type FitOptions } from '@surefoot/reward';
import { exposeToParent } from '@surefoot/service';
import { openBackend, type BackendName } from '@surefoot/tensor';
import type { StepReport } from './compute';

/** What every job is told besides its own options. */
interface Job<Options> {
  backend: BackendName;
  options: Options;
}

/** Long computations; they run in a thread, so that progress and Ctrl-C work meanwhile. */
const procedures = {
  async fit({ backend, options }: Job<FitOptions>) {
    await openBackend(backend);
    return fitEnsemble({
      ...options,
      created: new Date().toISOString(),
      onProgress: ({ member, members, step, steps, loss }) =>
        report({ done: member * steps + step, total: members * steps, detail: `loss ${loss.toFixed(3)}` }),
    });
  },

  async writeTask({ backend, options }: Job<BuiltinTaskOptions & { folder: string }>) {
    await openBackend(backend);
    const { folder, ...task } = options;
    await writeBuiltinTask(folder, { ...task, onProgress: ({ step, steps }) => report({ done: step, total: steps }) });
  },

  async pretrain({ backend, options }: Job<PretrainOptions>) {
    await openBackend(backend);
    const { model: source, out, sequences, training } = options;
    const model = await loadModel(source, { head: 'causal-lm' });
    const { finalLoss } = await trainNextToken(model, sequences, {
      ...training,
      onStep: (step, loss) => report({ done: step + 1, total: training.steps, detail: `loss ${loss.toFixed(3)}` }),
    });
    await publishFolder(out, (folder) => saveModel(model, folder, { tokenizerFolder: source }));
    disposeModel(model);
    return { finalLoss };
  },
};

/** Next-token training of one model folder into another. */
export interface PretrainOptions {
  model: string;
  out: string;
  sequences: Int32Array[];
  training: Omit<TrainNextTokenOptions, 'onStep'>;
}

export type ComputeProcedures = typeof procedures;

const parent = exposeToParent<{ report: (step: StepReport) => void }>(procedures);

function report(step: StepReport): void {
  void parent('report', step);
}
