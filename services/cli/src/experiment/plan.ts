import { DomainError } from '@surefoot/errors';
import type { Block, ExperimentConfig, Method } from './config';

/** The longest name of a run that a trainer takes. */
const idLength = 63;

/** One run of an experiment, before it has run. */
export interface PlannedRun {
  index: number;
  /** Name of its folder, `<method>-<block>-<run>`. */
  id: string;
  method: Method;
  block: Block;
  /** Which of the method's runs in the block, from 0. */
  run: number;
  /** The reward member that it deploys. */
  member: number;
  seed: number;
}

/** Name of a run's folder, by the names of its method and block. */
export const runId = (method: string, block: string, run: number) => `${method}-${block}-${run}`;

/**
 * Every run, in index order: run by run, the methods next to each other, so that any prefix is paired.
 *
 * `index = (block * runs + run) * methods + method`; run r has seed `seed + r` and member `r mod K` under every method.
 *
 * @param members K of each block's ensemble
 * @throws DomainError invalid_argument where an id is too long or not unique
 */
export function planRuns(config: Pick<ExperimentConfig, 'blocks' | 'methods' | 'runs' | 'seed'>, members: number[]) {
  const { blocks, methods, runs, seed } = config;
  const plan = blocks.flatMap((block, blockIndex) =>
    Array.from({ length: runs }, (_, run) =>
      methods.map((method, methodIndex): PlannedRun => ({
        index: (blockIndex * runs + run) * methods.length + methodIndex,
        id: runId(method.name, block.name, run),
        method,
        block,
        run,
        member: run % (members[blockIndex] ?? 1),
        seed: seed + run,
      })),
    ).flat(),
  );
  refuseBadIds(plan.map(({ id }) => id));
  return plan;
}

/**
 * What a trainer service calls a planned run: its runs may come from many experiments, so the name of this one leads.
 *
 * @throws DomainError invalid_argument where it is too long for the service
 */
export function remoteRunId(experiment: string, { id }: Pick<PlannedRun, 'id'>): string {
  const prefix = experiment
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '');
  const remote = `${prefix || 'experiment'}-${id}`;
  if (remote.length <= idLength) return remote;
  throw new DomainError(
    'invalid_argument',
    `run ${remote} has ${remote.length} characters, trainer services take ${idLength}: shorten the name: of the experiment, of a method or a block`,
  );
}

/** The run of an index. @throws DomainError invalid_argument naming the range */
export function runOfIndex(plan: PlannedRun[], index: number): PlannedRun {
  const planned = plan[index];
  if (planned) return planned;
  throw new DomainError('invalid_argument', `index ${index}: this experiment has the runs 0 to ${plan.length - 1}`);
}

function refuseBadIds(ids: string[]): void {
  const seen = new Set<string>();
  for (const id of ids) {
    if (id.length > idLength)
      throw new DomainError(
        'invalid_argument',
        `run ${id}: method and block names are too long for ${idLength} characters`,
      );
    if (seen.has(id))
      throw new DomainError('invalid_argument', `two runs would be named ${id}: rename a method or a block`);
    seen.add(id);
  }
}
