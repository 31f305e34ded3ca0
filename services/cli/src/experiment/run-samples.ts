import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { readJsonLines } from '@surefoot/files';
import type { RunSamples } from '@surefoot/report';
import { outcomesOf, type Measure, type RunRecord } from '@surefoot/risk';
import { z } from 'zod';
import { promptText } from '../disagreement-document';
import { runId } from './plan';
import { runsFolder } from './runs-file';

const response = z.object({ response: z.string(), gold: z.number().optional(), judge: z.number().optional() });
type Response = z.output<typeof response>;

const evaluationLine = z.object({
  index: z.number(),
  prompt: z.union([z.string(), z.array(z.object({ role: z.string(), content: z.string() }))]),
  initial: response,
  final: response.optional(),
});
/** One line of a run's evaluation.jsonl.gz. */
export type EvaluationLine = z.output<typeof evaluationLine>;

const responsesShown = 5;

/** Where a run's responses stand, before and after training. */
export const evaluationPath = (runFolder: string) => join(runFolder, 'evaluation.jsonl.gz');

/**
 * The evaluation that a run's folder holds; nothing where it holds none.
 *
 * @throws DomainError failed_precondition where it is damaged: what is left would not be the run's
 */
export async function* readEvaluation(runFolder: string): AsyncGenerator<EvaluationLine> {
  const path = evaluationPath(runFolder);
  if (!existsSync(path)) return;
  for await (const { line, value, problem } of readJsonLines(path)) {
    const { data } = evaluationLine.safeParse(value);
    if (!data)
      throw new DomainError(
        'failed_precondition',
        `${path} is damaged: line ${line}: ${problem ?? 'not an evaluation'}`,
      );
    yield data;
  }
}

/** The runs of an experiment folder. */
export interface FolderRuns {
  folder: string;
  runs: RunRecord[];
  /** The same, in the same order, as a report of several folders names them. */
  pooled: RunRecord[];
}

/** Responses before and after training, of the best run of all and of the worst. */
export async function readRunSamples(folders: FolderRuns[], measure: Measure): Promise<RunSamples[]> {
  const completed = folders
    .flatMap(({ folder, runs, pooled }) =>
      runs.flatMap((run, i) => {
        const gain = outcomesOf([run], measure)[0]?.completed?.gain;
        return gain === undefined ? [] : [{ folder, run, name: pooled[i]!.block, gain }];
      }),
    )
    .sort((a, b) => b.gain - a.gain);
  const chosen = [
    ['Best run', completed[0]],
    ['Worst run', completed.length > 1 ? completed.at(-1) : undefined],
  ] as const;
  const samples: RunSamples[] = [];
  for (const [title, entry] of chosen) {
    if (!entry) continue;
    const { folder, name, gain } = entry;
    const { method, block, run } = entry.run;
    const responses = await firstResponses(folder, runId(method, block, run), measure);
    if (responses.length > 0) samples.push({ title, method, block: name, run, gain, responses });
  }
  return samples;
}

async function firstResponses(
  out: string,
  runId: string,
  measure: Measure,
): Promise<RunSamples['responses'][number][]> {
  const responses: RunSamples['responses'][number][] = [];
  for await (const { prompt, initial, final } of readEvaluation(join(runsFolder(out), runId))) {
    if (responses.length === responsesShown) break;
    if (!final) continue;
    const shown = ({ response, ...values }: Response) => ({ text: response, value: values[measure] });
    responses.push({ prompt: promptText(prompt), before: shown(initial), after: shown(final) });
  }
  return responses;
}
