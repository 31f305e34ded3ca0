import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { readJsonLines, writeFileAtomically } from '@surefoot/files';
import type { Prompt } from '@surefoot/preference';
import type { EvaluatedResponse } from './evaluation';

/** One line of evaluation.jsonl.gz. */
interface EvaluationLine {
  index: number;
  prompt: Prompt;
  /** The evaluation seed; with `index` it decides the dice of both responses. */
  seed: number;
  initial: EvaluatedResponse;
  /** Absent until the run has ended. */
  final?: EvaluatedResponse;
}

/** Writes evaluation.jsonl.gz, whole or not at all. */
export async function writeEvaluation(
  path: string,
  evaluation: { prompts: Prompt[]; seed: number; initial: EvaluatedResponse[]; final?: EvaluatedResponse[] },
): Promise<void> {
  const { prompts, seed, initial, final } = evaluation;
  const lines = initial.map((response, index) => {
    const prompt = prompts[index % prompts.length]!;
    return JSON.stringify({
      index,
      prompt,
      seed,
      initial: response,
      final: final?.[index],
    } satisfies EvaluationLine & { final: unknown });
  });
  await writeFileAtomically(path, await promisify(gzip)(`${lines.join('\n')}\n`, { level: 1 }));
}

/** The initial policy's responses as evaluation.jsonl.gz keeps them; undefined where it does not hold `count` of them. */
export async function readInitialEvaluation(path: string, count: number): Promise<EvaluatedResponse[] | undefined> {
  const initial: EvaluatedResponse[] = [];
  try {
    for await (const { value } of readJsonLines(path)) initial.push((value as EvaluationLine).initial);
  } catch {
    // Missing or damaged: the evaluation is made again, with the same result.
    return undefined;
  }
  return initial.length === count ? initial : undefined;
}
