import { existsSync, readdirSync, type Dirent } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { readJson } from '@surefoot/files';
import { decimalsFor, gainLowerBound, type GainBound, type PairedValue } from '@surefoot/risk';
import { z } from 'zod';
import { defineCommand } from '../command';
import { readEvaluation } from '../experiment/run-samples';
import { runsFolder } from '../experiment/runs-file';
import { UsageError } from '../failure';
import { number, option, text } from '../option';

/** Distinct prompts below which Student's t says little of others. */
const leastPrompts = 5;

const record = z.object({ status: z.string(), error: z.object({ message: z.string() }).optional().catch(undefined) });
const settings = z.object({ ppo: z.object({ evaluationSamples: z.number() }) });

export const gate = defineCommand({
  name: 'gate',
  summary: 'exit 0 only if a run’s gain over its reference, by the judge, is surely large enough; for pipelines',
  example: 'gate trained --min-gain 0.1',
  arguments: { dir: option('<dir>', 'folder of train, of an experiment, or of one run', text) },
  options: {
    minGain: option('<g>', 'what the lower confidence bound must reach, in units of the judge', number().default(0)),
    confidence: option(
      '<c>',
      `of the bound, one-sided, over the prompts, at least ${leastPrompts}`,
      number({ min: 0.5, max: 0.9999 }).default(0.95),
    ),
    run: option('<id>', 'which run, where the folder holds several', text.optional()),
  },
  async run({ dir, minGain, confidence, run }) {
    const folder = findRun(dir, run);
    const id = basename(resolve(folder));
    const path = join(folder, 'run.json');
    const { data } = record.safeParse(await readJson(path));
    if (!data) throw new DomainError('failed_precondition', `${path} does not say how its run ended`);
    if (data.status !== 'completed') {
      const reason = data.error ? ` (${data.error.message})` : '';
      throw new DomainError(
        'failed_precondition',
        `run ${id} ${data.status}${reason}: there is nothing to let through`,
      );
    }
    const bound = gainLowerBound(await judgedValues(folder), confidence);
    refuseNoEvidence(id, bound);
    const isEnough = bound.lower >= minGain;
    const decimals = decimalsOf(bound, minGain);
    const sentence = `run ${id}: judged gain ${bound.mean.toFixed(decimals)}, above ${bound.lower.toFixed(decimals)} with ${Number((100 * confidence).toPrecision(6))} % confidence (${bound.responses} responses to ${bound.prompts} prompts)`;
    return {
      document: { run: id, ...bound, confidence, minGain, passed: isEnough },
      // The reason for a stop is the failure's to say.
      text: isEnough ? `${sentence}: passed at ${minGain}` : 'stopped',
      failure: isEnough
        ? undefined
        : new DomainError('failed_precondition', `${sentence}, which does not reach ${minGain}`),
    };
  },
});

const leastDecimals = 3;

/** As many as two digits of the margin need, and as show the bound on that side of `minGain` where it lies. */
function decimalsOf({ mean, lower }: GainBound, minGain: number): number {
  const isShownRightly = (decimals: number) => Number(lower.toFixed(decimals)) >= minGain === lower >= minGain;
  let decimals = decimalsFor([mean - lower], leastDecimals);
  while (!isShownRightly(decimals) && decimals < 100) decimals += 1;
  return decimals;
}

/** The folder of the run that is meant. */
function findRun(dir: string, id: string | undefined): string {
  const hasEnded = (folder: string) => existsSync(join(folder, 'run.json'));
  if (hasEnded(dir)) {
    if (id !== undefined) throw new UsageError(`${dir} is a single run: leave out --run`);
    return dir;
  }
  if (!existsSync(dir)) throw new DomainError('not_found', `${dir} does not exist`);
  const runs = runsFolder(dir);
  const ids = existsSync(runs)
    ? readdirSync(runs, { withFileTypes: true })
        .filter(isRun)
        .map((entry) => entry.name)
    : [];
  const ended = ids.filter((name) => hasEnded(join(runs, name)));
  if (ended.length === 0)
    throw new DomainError(
      'not_found',
      `${dir} holds no run that has ended: give the folder of train, of an experiment, or of one run`,
    );
  // One that is still open may turn out otherwise than the one that has ended.
  if (id === undefined && ids.length > 1)
    throw new UsageError(`${dir} holds ${ids.length} runs: name one by --run, such as ${ended.slice(0, 3).join(', ')}`);
  if (id !== undefined && !ended.includes(id))
    throw new DomainError('not_found', `${dir} holds no run ${id} that has ended; ${endedText(ended)}`);
  return join(runs, id ?? ended[0]!);
}

const mostNamed = 10;

function endedText(ids: readonly string[]): string {
  const others = ids.length - mostNamed;
  return `there are ${ids.slice(0, mostNamed).join(', ')}${others > 0 ? ` and ${others} more` : ''}`;
}

/** What is being written stands beside the runs under a name that begins with a dot. */
const isRun = (entry: Dirent) => entry.isDirectory() && !entry.name.startsWith('.');

/** @throws DomainError failed_precondition where the evaluation is not whole */
async function judgedValues(folder: string): Promise<PairedValue[]> {
  const path = join(folder, 'evaluation.jsonl.gz');
  const values: PairedValue[] = [];
  let responses = 0;
  for await (const { prompt, initial, final } of readEvaluation(folder)) {
    responses += 1;
    if (!final)
      throw new DomainError(
        'failed_precondition',
        `${path}: line ${responses} has no final response, and its run is completed: the file is of an earlier state`,
      );
    if (initial.judge !== undefined && final.judge !== undefined)
      values.push({ prompt: JSON.stringify(prompt), initial: initial.judge, final: final.judge });
  }
  if (values.length === 0)
    throw new DomainError(
      'failed_precondition',
      `${folder} has no judged responses in evaluation.jsonl.gz: the run had no judge, or its files lie with the trainer service`,
    );
  if (values.length < responses)
    throw new DomainError(
      'failed_precondition',
      `${path}: responses without a score of the judge: ${responses - values.length} of ${responses}`,
    );
  // A folder that was copied in part may lack its settings.
  const { data } = settings.safeParse(await readJson(join(folder, 'config.json')).catch(() => undefined));
  const expected = data?.ppo.evaluationSamples ?? responses;
  if (responses === expected) return values;
  throw new DomainError('failed_precondition', `${path} holds ${responses} of ${expected} responses`);
}

/** @throws DomainError failed_precondition where the gains say nothing of prompts that were not asked */
function refuseNoEvidence(id: string, { prompts, mean, sd }: GainBound): void {
  if (prompts < leastPrompts)
    throw new DomainError(
      'failed_precondition',
      `run ${id}: only ${prompts} ${prompts === 1 ? 'prompt was' : 'prompts were'} judged, a bound needs ${leastPrompts}: evaluate on more`,
    );
  if (sd === 0)
    throw new DomainError(
      'failed_precondition',
      `run ${id}: every prompt gained ${mean.toFixed(decimalsFor([Math.abs(mean)], leastDecimals))}: without a difference between ${prompts} prompts there is nothing to bound a gain by`,
    );
}
