import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { publishFolder, writeFileAtomically } from '@surefoot/files';
import { disposeModel, loadModel, loadTokenizer, type LanguageModel, type Tokenizer } from '@surefoot/language-model';
import { builtinGold, builtinTask, taskPrompts, type BuiltinTask, type PreferencePair } from '@surefoot/preference';
import { builtinConfig, memberInitialisation, writeBaseModel, type BaseTraining } from './builtin-models';
import { drawPairs } from './builtin-pairs';
import { judgeSeed } from './judge-seed';

/** The preference pairs of one data set of the built-in task. */
export interface BuiltinPairsOptions {
  /** Decides the pairs; base model and judge pairs are the same for every data seed. Default 0. */
  dataSeed?: number;
  /** Prompts of the pairs: `uneven` those of the first of four categories, `even` all. Default `uneven`. */
  coverage?: 'uneven' | 'even';
  /** Preference pairs for the reward members, default 300. */
  pairs?: number;
}

/** What of the built-in task can be chosen. */
export interface BuiltinTaskOptions extends BuiltinPairsOptions {
  /** Preference pairs for the judge, over all prompts, default 3000. */
  judgePairs?: number;
  /** Default 8,000 sentences, 500 steps of 64. */
  baseTraining?: BaseTraining;
  /** Called after each step of the base model's training. */
  onProgress?: (progress: { step: number; steps: number }) => void;
}

const fullBaseTraining: BaseTraining = { sentences: 8000, steps: 500, batchSize: 64 };

/**
 * Writes the built-in task as ordinary files: `base/`, `pairs.jsonl`, `judge-pairs.jsonl`, `prompts.jsonl`,
 * `eval-prompts.jsonl`, `gold.json`, and the geometry and initialisation of the experiment's reward models,
 * `member-config.json`, `member-init.json` and `judge-config.json`.
 *
 * @param folder appears whole or not at all
 * @throws DomainError already_exists where the folder holds something; invalid_argument naming an option out of range
 */
export async function writeBuiltinTask(folder: string, options: BuiltinTaskOptions = {}): Promise<void> {
  const { judgePairs = 3000, baseTraining = fullBaseTraining, onProgress } = options;
  checkPairsOptions(options);
  checkWhole('judgePairs', judgePairs, 1, 1e6);
  const task = builtinTask();
  await publishFolder(folder, async (beside) => {
    await writeSettings(task, beside);
    const { model, tokenizer } = await writeBaseModel(task, join(beside, 'base'), baseTraining, (step) =>
      onProgress?.({ step: step + 1, steps: baseTraining.steps }),
    );
    try {
      await writePairs(join(beside, 'pairs.jsonl'), { task, model, tokenizer }, options);
      const judge = { dataSeed: judgeSeed, coverage: 'even', pairs: judgePairs } as const;
      await writePairs(join(beside, 'judge-pairs.jsonl'), { task, model, tokenizer }, judge);
    } finally {
      disposeModel(model);
    }
  });
}

/**
 * Writes the pairs of another data set of a task that is there: those that `writeBuiltinTask` with these options would.
 *
 * @param folder of the task
 * @param path   JSON lines, whole or not at all
 * @throws DomainError as `writeBuiltinTask`; not_found where the folder has no base model
 */
export async function writeBuiltinPairs(folder: string, path: string, options: BuiltinPairsOptions): Promise<void> {
  checkPairsOptions(options);
  const base = join(folder, 'base');
  const tokenizer = await loadTokenizer(base);
  const model = await loadModel(base, { head: 'causal-lm', trainable: false });
  try {
    await writePairs(path, { task: builtinTask(), model, tokenizer }, options);
  } finally {
    disposeModel(model);
  }
}

async function writePairs(
  path: string,
  { task, model, tokenizer }: { task: BuiltinTask; model: LanguageModel; tokenizer: Tokenizer },
  { dataSeed = 0, coverage = 'uneven', pairs = 300 }: BuiltinPairsOptions,
): Promise<void> {
  const covered = { ...task, categories: coverage === 'uneven' ? task.categories.slice(0, 1) : task.categories };
  const options = { prompts: taskPrompts(covered), count: pairs, seed: dataSeed, purpose: 'pairs' };
  await writeRows(path, (await drawPairs(task, model, tokenizer, options)).map(pairRow));
}

function checkPairsOptions({ dataSeed = 0, pairs = 300 }: BuiltinPairsOptions): void {
  checkWhole('dataSeed', dataSeed, 0, judgeSeed - 1);
  checkWhole('pairs', pairs, 1, 1e6);
}

async function writeSettings(task: BuiltinTask, folder: string): Promise<void> {
  const prompts = taskPrompts(task).map((prompt, i) => ({ id: `prompt-${i}`, prompt }));
  await writeRows(join(folder, 'prompts.jsonl'), prompts);
  // The same prompts: held out is the sampling, by seeds that training does not use.
  await writeRows(join(folder, 'eval-prompts.jsonl'), prompts);
  await writeJson(join(folder, 'gold.json'), builtinGold());
  await writeJson(join(folder, 'member-init.json'), memberInitialisation);
  await writeJson(join(folder, 'member-config.json'), builtinConfig(task, { hiddenSize: 32, head: 'reward' }).raw);
  await writeJson(join(folder, 'judge-config.json'), builtinConfig(task, { hiddenSize: 64, head: 'reward' }).raw);
}

function pairRow(pair: PreferencePair, i: number): Record<string, unknown> {
  const { prompt, chosen, rejected, chosenTruncated, rejectedTruncated } = pair;
  return {
    id: `pair-${i}`,
    prompt,
    chosen,
    rejected,
    ...(chosenTruncated && { chosen_truncated: true }),
    ...(rejectedTruncated && { rejected_truncated: true }),
  };
}

function writeRows(path: string, rows: unknown[]): Promise<void> {
  return writeFileAtomically(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

function writeJson(path: string, value: unknown): Promise<void> {
  return writeFileAtomically(path, `${JSON.stringify(value, null, 2)}\n`);
}

function checkWhole(name: string, value: number, low: number, high: number): void {
  if (!Number.isSafeInteger(value) || value < low || value > high)
    throw new DomainError('invalid_argument', `${name} is ${value}; it must be a whole number from ${low} to ${high}`);
}
