import { publishFolder } from '@surefoot/files';
import {
  disposeModel,
  loadModel,
  parameterCount,
  readModelConfig,
  saveModel,
  trainNextToken,
  type TrainNextTokenOptions,
} from '@surefoot/language-model';
import {
  writeBuiltinPairs,
  writeBuiltinTask,
  type BuiltinPairsOptions,
  type BuiltinTaskOptions,
} from '@surefoot/reward';
import { exposeToParent } from '@surefoot/service';
import { openBackend, type Backend, type BackendName, type BackendOptions } from '@surefoot/tensor';
import type { StepReport } from './compute';

/** What every job is told besides its own options. */
interface Job<Options> {
  backend: BackendName;
  machine: Pick<BackendOptions, 'threads' | 'requireGpu'>;
  options: Options;
}

/** Long computations; they run in a thread, so that progress and Ctrl-C work meanwhile. */
const procedures = {
  async writeTask({ backend, machine, options }: Job<BuiltinTaskOptions & { folder: string }>) {
    await open(backend, machine);
    const { folder, ...task } = options;
    await writeBuiltinTask(folder, { ...task, onProgress: ({ step, steps }) => report({ done: step, total: steps }) });
  },

  async writePairs({ backend, machine, options }: Job<BuiltinPairsOptions & { folder: string; path: string }>) {
    await open(backend, machine);
    const { folder, path, ...pairs } = options;
    await writeBuiltinPairs(folder, path, pairs);
  },

  async pretrain({ backend, machine, options }: Job<PretrainOptions>) {
    const { model: source, out, sequences, training } = options;
    await open(backend, { ...machine, parameters: parameterCount(await readModelConfig(source)) });
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

const parent = exposeToParent<{ report: (step: StepReport) => void; opened: (backend: Backend) => void }>(procedures);

async function open(name: BackendName, options: BackendOptions): Promise<void> {
  void parent('opened', await openBackend(name, options));
}

function report(step: StepReport): void {
  void parent('report', step);
}
