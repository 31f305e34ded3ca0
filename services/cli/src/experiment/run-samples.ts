import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readJsonLines } from '@surefoot/files';
import type { Prompt } from '@surefoot/preference';
import type { RunSamples } from '@surefoot/report';
import { outcomesOf, type Measure, type RunRecord } from '@surefoot/risk';
import { runsFolder } from './runs-file';

interface Response {
  response: string;
  gold?: number;
  judge?: number;
}

/** One line of a run's evaluation.jsonl.gz. */
export interface EvaluationLine {
  index: number;
  prompt: Prompt;
  initial: Response;
  final?: Response;
}

const responsesShown = 5;

/** The evaluation that a run's folder holds; nothing where it holds none. */
export async function* readEvaluation(runFolder: string): AsyncGenerator<EvaluationLine> {
  const path = join(runFolder, 'evaluation.jsonl.gz');
  if (!existsSync(path)) return;
  for await (const { value, problem } of readJsonLines(path)) if (!problem) yield value as EvaluationLine;
}

/** Responses before and after training, of the best run and of the worst. */
export async function readRunSamples(out: string, runs: RunRecord[], measure: Measure): Promise<RunSamples[]> {
  const completed = outcomesOf(runs, measure)
    .flatMap(({ run, completed: result }) => (result ? [{ run, gain: result.gain }] : []))
    .sort((a, b) => b.gain - a.gain);
  const chosen = [
    ['best run', completed[0]],
    ['worst run', completed.length > 1 ? completed.at(-1) : undefined],
  ] as const;
  const samples: RunSamples[] = [];
  for (const [title, entry] of chosen) {
    if (!entry) continue;
    const { method, block, run } = entry.run;
    const responses = await firstResponses(out, `${method}-${block}-${run}`, measure);
    if (responses.length > 0) samples.push({ title, method, block, run, gain: entry.gain, responses });
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

function promptText(prompt: Prompt): string {
  return typeof prompt === 'string' ? prompt : prompt.map(({ role, content }) => `${role}: ${content}`).join('\n');
}
