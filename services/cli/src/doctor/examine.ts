import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import {
  inspectMachine,
  inspectTensorflow,
  missingInstallTools,
  openPlanned,
  planAuto,
  type BackendName,
  type MissingTool,
  type TensorflowInspection,
} from '@surefoot/tensor';
import { version_core } from '@tensorflow/tfjs';
import type { Context } from '../command';
import { machine } from '../compute/machine';
import { version } from '../version';
import { nodeProblem } from './node-release';
import { probeBackends, type OpenedBackend, type Probes } from './probe-backends';

/** A backend, and why it is used or cannot be. */
export type BackendReport = { name: BackendName; reason: string } & (
  | ({ available: true; matmulGflops: number } & Pick<
      OpenedBackend['backend'],
      'version' | 'device' | 'isGpu' | 'threads' | 'kernelBuild' | 'memoryBytes'
    >)
  | { available: false }
);

/** What `auto` would take for a model. */
interface AutoReport {
  parameters: number;
  /** Null where a GPU is required and none is there. */
  backend: BackendName | null;
  reason: string;
}

/** Something that is wrong here, and what to do about it. */
export interface Problem {
  problem: string;
  cure: string;
}

/** All that `surefoot doctor` finds. */
export interface Examination {
  surefoot: string;
  node: string;
  platform: string;
  cores: number;
  /** The backend that is asked for, threads of one process, and whether a GPU is insisted on. */
  settings: { backend: BackendName; threads: number; requireGpu: boolean };
  cpu: string;
  memory: { totalBytes: number; freeBytes: number };
  /** Device files of graphics cards. */
  gpu: string[];
  tfjs: string;
  tensorflow: TensorflowInspection;
  /** What `npm run install:tensorflow` would miss. */
  missingTools: MissingTool[];
  backends: BackendReport[];
  auto: AutoReport[];
  problems: Problem[];
}

/** A small model, a middle one and one of a real size. */
const sizes = [0.1e6, 10e6, 1e9];

/** Looks at everything, and opens every backend. @param asked.requireGpu insists on a GPU, as the environment may */
export async function examine(
  context: Context,
  asked: { backend: BackendName; requireGpu: boolean },
): Promise<Examination> {
  const { env, signal } = context;
  const found = machine(env);
  const { backend, requireGpu } = asked;
  const settings = { backend, threads: found.threads, requireGpu: requireGpu || found.requireGpu };
  const probes = await probeBackends({ threads: settings.threads, env, signal });
  const tensorflow = inspectTensorflow();
  const missingTools = missingInstallTools();
  return {
    surefoot: version,
    node: process.versions.node,
    platform: `${process.platform} ${process.arch}`,
    cores: availableParallelism(),
    settings,
    cpu: cpus()[0]?.model ?? 'unknown',
    memory: { totalBytes: totalmem(), freeBytes: freemem() },
    gpu: gpuDevices(),
    tfjs: version_core,
    tensorflow,
    missingTools,
    backends: [...probes].map(([name, probe]) => backendReport(name, probe)),
    auto: await Promise.all(sizes.map((parameters) => autoReport(parameters, settings.requireGpu, probes))),
    problems: problems(tensorflow, missingTools),
  };
}

function backendReport(name: BackendName, probe: OpenedBackend | Error): BackendReport {
  if (probe instanceof Error) return { name, available: false, reason: probe.message };
  const { version: release, device, isGpu, threads, kernelBuild, memoryBytes } = probe.backend;
  const what = { version: release, device, isGpu, threads, kernelBuild, memoryBytes };
  return { name, available: true, ...what, matmulGflops: probe.matmulGflops, reason: ownReason(probe) };
}

/** What `auto` would do, by the processes that have opened every backend already. */
async function autoReport(parameters: number, requireGpu: boolean, probes: Probes): Promise<AutoReport> {
  try {
    const plan = planAuto(inspectMachine(), { parameters, requireGpu });
    const { name, opened, whyNot } = await openPlanned(plan, async (candidate) => {
      const probe = probes.get(candidate)!;
      if (probe instanceof Error) throw probe;
      return { ...probe, backend: { ...probe.backend, reason: ownReason(probe) } };
    });
    return { parameters, backend: name, reason: `${opened.backend.reason}; ${whyNot}` };
  } catch (error) {
    return { parameters, backend: null, reason: (error as Error).message };
  }
}

function ownReason({ backend: { name, reason } }: OpenedBackend): string {
  return reason.replace(`${name} was asked for; `, '');
}

function problems({ problem }: TensorflowInspection, tools: MissingTool[]): Problem[] {
  const toInstall = problem === undefined ? [] : tools;
  return [
    ...nodeProblem(process.versions.node),
    ...toInstall.map(({ tool, cure }) => ({ problem: `no ${tool}, which installing native TensorFlow needs`, cure })),
  ];
}

function gpuDevices(): string[] {
  const cards = existsSync('/dev/dri') ? readdirSync('/dev/dri').filter((name) => name.startsWith('renderD')) : [];
  const paths = ['/dev/nvidia0', '/dev/kfd', '/dev/dxg', ...cards.map((name) => `/dev/dri/${name}`)];
  return paths.filter((path) => existsSync(path));
}
