import { DomainError } from '@surefoot/errors';
import { groupBy } from '@surefoot/risk';
import { remoteScorer, type Scorer } from '../scorer';
import { builtinPairsOf } from './builtin-task';
import type { Block } from './config';
import { runToSample, writeDisagreementSample } from './disagreement-sample';
import type { Execution } from './execute';
import type { PlannedRun } from './plan';
import { collectRuns } from './runs-file';
import type { RunningScorers } from './scorers';

/** Sees to blocks of which no run is left to do: their reward models are compared, and no longer served. */
export interface BlockEnds {
  /** A run of the block has ended. */
  runEnded(block: Block): Promise<void>;
  /** Of blocks that had no run to do: an earlier command may have done them and gone no further. */
  endOthers(): Promise<void>;
}

type Surroundings = Pick<Execution, 'out' | 'compared' | 'context'> & { scorers: RunningScorers; signal: AbortSignal };

/**
 * @param todo the runs of `plan` that are to be done
 * @param surroundings.signal aborts when the experiment ends before its runs
 */
export function createBlockEnds(plan: PlannedRun[], todo: PlannedRun[], surroundings: Surroundings): BlockEnds {
  const { compared, scorers } = surroundings;
  const left = new Map([...groupBy(todo, ({ block }) => block)].map(([block, { length }]) => [block, length]));
  const endBlock = async (block: Block) => {
    const runs = plan.filter((planned) => planned.block === block);
    if (compared.includes(block)) await sampleDisagreement(block, runs, surroundings);
    await scorers.release(block);
  };
  return {
    async runEnded(block) {
      const others = left.get(block)! - 1;
      left.set(block, others);
      if (others === 0) await endBlock(block);
    },
    async endOthers() {
      for (const block of compared) if (!left.has(block)) await endBlock(block);
    },
  };
}

/**
 * For the report: what the members say of the same responses. Other processes may end runs of the block meanwhile, so that it is
 * asked again whose responses they are to be: whoever is the last to write has those of the first run. The runs count without it.
 */
async function sampleDisagreement(
  block: Block,
  runs: PlannedRun[],
  { out, scorers, context, signal }: Surroundings,
): Promise<void> {
  const { name, ensemble } = block;
  const next = async () => runToSample(out, name, await collectRuns(out, runs));
  let scorer: Scorer | undefined;
  try {
    for (let runId = await next(); runId !== undefined; runId = await next()) {
      scorer ??= await remoteScorer((await scorers.addressesOf(block)).ensemble.split(',')[0]!);
      const pairs = ensemble && 'folder' in ensemble ? await builtinPairsOf(ensemble.folder) : undefined;
      if (!(await writeDisagreementSample(out, { runId, block: name, scorer, pairs }))) return;
    }
  } catch (error) {
    if (!(error instanceof DomainError) || signal.aborted) throw error;
    context.terminal.note(`the report will not show how much the members disagree: ${error.message}`);
  } finally {
    scorer?.close();
  }
}
