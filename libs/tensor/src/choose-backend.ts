import { DomainError } from '@surefoot/errors';
import { openCpu } from './cpu';
import type { Backend, BackendName, BackendOptions, Opened } from './opened';
import { hasNvidiaDriver } from './tensorflow/graphics-card';
import { inspectTensorflow } from './tensorflow/native-library';
import { openTensorflow } from './tensorflow/open-tensorflow';
import { openWasm } from './wasm/open-wasm';
import { hasGraphicsCard, inspectWebgpu } from './webgpu/inspect-webgpu';
import { openWebgpu } from './webgpu/open-webgpu';

/**
 * Parameters from which a backend gains against wasm.
 *
 * - tensorflow on a CPU, measured by `npm run bench` with one thread: it takes 1.14, 0.85, 0.57 and 0.42 of wasm's time for a
 *   training step of 0.07, 0.1, 1 and 10 M parameters; 0.68, 0.52 and 0.40 for scoring with 0.1, 1 and 10 M; 2.5 and 1.07 for
 *   sampling, with its many small operations, from 0.07 and 1 M. A PPO run samples and trains: in between, it is even.
 * - a GPU: not measured. Each of the thousand operations of a training step costs some 10 µs there however small the model, in
 *   all what wasm takes for a step of some 0.1 M parameters; sampling, which waits for every token, gains later.
 */
const gainsFrom = { tensorflow: 300_000, gpu: 1_000_000 };

/** What `auto` chooses among; `cpu` is the reference of tests. */
export type Candidate = 'tensorflow' | 'webgpu' | 'wasm';

/** What there is on a machine, as far as it can be seen without loading TensorFlow or Dawn. */
export interface Machine {
  /** `problem` and `cure` where it cannot be loaded. */
  tensorflow: { problem?: string; cure?: string; kind?: 'cpu' | 'gpu' };
  webgpu: { problem?: string; cure?: string };
  hasNvidiaDriver: boolean;
  hasGraphicsCard: boolean;
}

/** What to open, in this order, until one is what it should be; and why each of the others is not among them. */
interface Plan {
  attempts: { name: Candidate; mustBeGpu: boolean }[];
  passedOver: Partial<Record<Candidate, string>>;
}

/**
 * The rule of `auto`:
 *
 * 1. a GPU, where there is one and the model has {@link gainsFrom}.gpu parameters: TensorFlow's CUDA build, else WebGPU;
 * 2. TensorFlow on the CPU, where it is installed and the model has {@link gainsFrom}.tensorflow parameters; where its CUDA build
 *    would take the GPU, rule 1 alone holds for it;
 * 3. wasm.
 *
 * Where a GPU is required, a GPU whatever the size of the model, and nothing else.
 *
 * @param options.parameters of the model; one that is not known counts as small
 */
export function planAuto(
  machine: Machine,
  { parameters, requireGpu = false }: Pick<BackendOptions, 'parameters' | 'requireGpu'>,
): Plan {
  const { tensorflow, webgpu, hasNvidiaDriver: hasDriver, hasGraphicsCard: hasCard } = machine;
  const tooSmall = (least: number) => whyTooSmall(parameters, least);
  const forGpu = requireGpu ? undefined : tooSmall(gainsFrom.gpu);
  const noDriver = hasDriver
    ? undefined
    : 'no NVIDIA driver is loaded (a container needs --gpus all, a pod nvidia.com/gpu)';
  const cpuBuild = tensorflow.kind === 'gpu' ? undefined : 'the CPU build (run npm run install:tensorflow -- --gpu)';
  const notCuda = forGpu ?? noDriver ?? unusable(tensorflow, ' -- --gpu') ?? cpuBuild;
  const notWebgpu = forGpu ?? (hasCard ? undefined : 'there is no graphics card') ?? unusable(webgpu);
  const onCpu = 'computes on the CPU';
  // TensorFlow's CUDA build takes the GPU wherever a driver lets it.
  const wouldTakeGpu =
    tensorflow.kind === 'gpu' && hasDriver && forGpu ? `computes on the GPU, which ${forGpu}` : undefined;
  const notTensorflow = requireGpu ? onCpu : (tooSmall(gainsFrom.tensorflow) ?? unusable(tensorflow) ?? wouldTakeGpu);
  const notWasm = requireGpu ? onCpu : undefined;
  const attempt = (name: Candidate, obstacle: string | undefined, mustBeGpu: boolean) =>
    obstacle === undefined ? [{ name, mustBeGpu }] : [];
  return {
    attempts: [
      ...attempt('tensorflow', notCuda, true),
      ...attempt('webgpu', notWebgpu, true),
      ...attempt('tensorflow', notTensorflow, false),
      ...attempt('wasm', notWasm, false),
    ],
    passedOver: {
      tensorflow: requireGpu ? notCuda : (notTensorflow ?? notCuda),
      webgpu: notWebgpu,
      wasm: notWasm,
    },
  };
}

function whyTooSmall(parameters: number | undefined, least: number): string | undefined {
  if ((parameters ?? 0) >= least) return undefined;
  const model = parameters === undefined ? 'the model is not known yet' : `the model has ${count(parameters)}`;
  return `gains from ${count(least)} parameters, and ${model}`;
}

/** Looks at this machine; takes milliseconds. */
export function inspectMachine(): Machine {
  return {
    tensorflow: inspectTensorflow(),
    webgpu: inspectWebgpu(),
    hasNvidiaDriver: hasNvidiaDriver(),
    hasGraphicsCard: hasGraphicsCard(),
  };
}

/**
 * Opens what `planAuto` plans, the next where one fails.
 *
 * @param open one backend
 * @returns the first that is what it should be, and why not the others, in a line
 * @throws DomainError failed_precondition where none is, saying why of each
 */
export async function openPlanned<Result extends { backend: Pick<Backend, 'isGpu' | 'reason'> }>(
  { attempts, passedOver }: Plan,
  open: (name: Candidate) => Promise<Result>,
): Promise<{ name: Candidate; opened: Result; whyNot: string }> {
  const whyNot = { ...passedOver };
  for (const { name, mustBeGpu } of attempts) {
    try {
      const opened = await open(name);
      if (mustBeGpu && !opened.backend.isGpu) throw new Error(`no GPU: ${opened.backend.reason}`);
      const others = {
        tensorflow: undefined,
        webgpu: 'comes after it',
        wasm: 'slower for such a model',
        ...defined(whyNot),
      };
      return { name, opened, whyNot: listed({ ...others, [name]: undefined }) };
    } catch (error) {
      whyNot[name] = (error as Error).message;
    }
  }
  const wanted = passedOver.wasm === undefined ? 'no backend opens here' : 'a GPU is required and none was found';
  throw new DomainError('failed_precondition', `${wanted}; ${listed(whyNot)}`);
}

const open = { tensorflow: openTensorflow, webgpu: openWebgpu, wasm: openWasm, cpu: openCpu };

/** Opens the backend of a name, or the best for a model of this size. @throws DomainError failed_precondition */
export async function chooseBackend(name: BackendName, options: BackendOptions): Promise<Opened> {
  if (name === 'auto') {
    const chosen = await openPlanned(planAuto(inspectMachine(), options), (candidate) => open[candidate](options));
    return withReason(chosen.opened, (reason) => `auto: ${reason}; ${chosen.whyNot}`);
  }
  const opened = await open[name](options);
  const { isGpu, reason } = opened.backend;
  if (options.requireGpu && !isGpu)
    throw new DomainError('failed_precondition', `a GPU is required, and ${name} computes on the CPU: ${reason}`);
  return withReason(opened, () => `${name} was asked for; ${reason}`);
}

function withReason(opened: Opened, say: (reason: string) => string): Opened {
  return { ...opened, backend: { ...opened.backend, reason: say(opened.backend.reason) } };
}

function defined(whyNot: Plan['passedOver']): Plan['passedOver'] {
  return Object.fromEntries(Object.entries(whyNot).filter(([, why]) => why !== undefined));
}

function listed(whyNot: Plan['passedOver']): string {
  return Object.entries(defined(whyNot))
    .map(([name, why]) => `not ${name}: ${why}`)
    .join('; ');
}

function unusable({ problem, cure }: { problem?: string; cure?: string }, ofInstall = ''): string | undefined {
  return problem && `${problem} (${cure?.replace(/npm run install:tensorflow$/, `$&${ofInstall}`)})`;
}

/** 0.3 M of 300,000. */
function count(parameters: number): string {
  const [size, unit] = parameters >= 1e9 ? [1e9, 'B'] : [1e6, 'M'];
  return `${Number((parameters / size).toPrecision(2))} ${unit}`;
}
