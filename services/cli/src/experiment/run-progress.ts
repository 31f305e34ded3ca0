import { methodSummaries } from '@surefoot/risk';
import type { Terminal } from '../terminal';
import type { RunWatcher } from '../trainer-client';
import type { PlannedRun } from './plan';
import { runTable } from './run-table';
import type { RunLine } from './runs-file';

/** What is shown of an experiment while it runs: how far it has come, and now and then the methods side by side. */
export interface RunProgress {
  /** A run begins. */
  begin(planned: PlannedRun): ShownRun;
  /** Shows the methods so far, unless it has done so a moment ago. @param lines as `collectRuns` */
  showTable(lines: RunLine[]): void;
  /** Ends the display. */
  finish(): void;
}

/** The part of one run. */
export interface ShownRun extends Pick<RunWatcher, 'onIteration' | 'onStage'> {
  /** It is done again from its start, by another. */
  giveBack(): void;
  /** It has ended. @returns true where the table is due */
  end(): boolean;
}

const tableEveryMs = 10_000;

/** @param todo the runs of `plan` that are to be done */
export function createRunProgress(terminal: Terminal, plan: PlannedRun[], todo: PlannedRun[]): RunProgress {
  const iterations = todo.reduce((sum, { method }) => sum + method.ppo.iterations, 0);
  const bar = terminal.progress('experiment', iterations, 'iterations');
  const tablesAfter = tenths(todo.length);
  // What is in the folder of one of these is of an earlier attempt.
  const open = new Set(todo.map(({ index }) => index));
  let tableAt = -Infinity;
  const finished = () => todo.length - open.size;
  const advance = (units: number, doing = '') => bar.advance(units, `${finished()}/${todo.length} runs${doing}`);
  return {
    begin({ index, method }) {
      let seen = 0;
      const reach = (iteration: number) => {
        advance(iteration - seen);
        seen = iteration;
      };
      return {
        onIteration: ({ iteration }) => reach(iteration),
        onStage: (stage) => advance(0, stage && `, ${stage.name} ${stage.done}/${stage.total}`),
        giveBack: () => reach(0),
        end() {
          open.delete(index);
          reach(method.ppo.iterations);
          return tablesAfter.has(finished());
        },
      };
    },
    showTable(lines) {
      if (performance.now() - tableAt < tableEveryMs) return;
      tableAt = performance.now();
      const ended = lines.filter(({ index }) => !open.has(index));
      terminal.note(`so far, ${ended.length} of ${plan.length} runs:\n${runTable(methodSummaries(ended))}`);
    },
    finish: () => bar.finish(),
  };
}

/** After how many of `runs` runs the table so far is shown: about every tenth of them, but not at the end. */
export function tenths(runs: number): Set<number> {
  const counts = Array.from({ length: 9 }, (_, i) => Math.ceil(((i + 1) * runs) / 10));
  return new Set(counts.filter((count) => count < runs));
}
