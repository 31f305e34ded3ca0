import { join } from 'node:path';
import { readJson } from '@surefoot/files';
import { disposeModel, loadModel, type LanguageModel } from '@surefoot/language-model';
import { goldScore, heldOutReport, parseGold, taskPrompts, type BuiltinTask } from '@surefoot/preference';
import { pearson, spearman } from '@surefoot/risk';
import { drawPairs, sampleTask } from './builtin-pairs';
import { encodePairs } from './encode-pairs';
import { disposeEnsemble, loadEnsemble, type RewardEnsemble } from './ensemble';
import { fitScoreNormaliser, normaliseScores } from './score-normaliser';
import { scoreSequences } from './score-sequences';

/** Mean and extremes over the members, or over pairs of them. */
export interface Spread {
  mean: number;
  min: number;
  max: number;
}

/** What must hold of an ensemble of the built-in task before its uncertainty can be worth anything. */
export interface BuiltinConditions {
  /** Responses of the base model, as many for each prompt. */
  samples: number;
  /** Correlation between two members' scores, centred per prompt. */
  betweenMembers: Spread;
  /** Correlation of a member with the gold score, both centred per prompt. */
  withGold: Spread;
  /** Of the mean over the members. */
  meanWithGold: number;
  /** Accuracy of a member on 2,000 fresh pairs over all prompts. */
  accuracy: Spread;
  /** The same on fresh pairs of the first category, which `uneven` pairs come from. */
  accuracyWhereCovered: Spread;
  /** Rank correlation of s2 with the mean of the members' squared errors: scores and gold centred per prompt, at unit sd. */
  varianceWithError: number;
  /** The same with one member's squared error, which is mostly noise: a squared normal. */
  varianceWithOneError: Spread;
  /** Mean normalised s2 by category of the prompt; its mean over all is 1. */
  varianceByCategory: Record<string, number>;
  /** Correlation of the judge with the gold score, centred per prompt; null without a judge. */
  judgeWithGold: number | null;
}

const seed = 2 ** 41;

/**
 * Measures an ensemble of the built-in task on fresh samples of the base model.
 *
 * @param folders.task     as `writeBuiltinTask` wrote it
 * @param folders.ensemble fitted to its pairs, at least two members
 * @param folders.judge    optional, fitted to its judge pairs
 * @param samples          number of reference samples, default 4,096
 */
export async function builtinConditions(
  folders: { task: string; ensemble: string; judge?: string },
  samples = 4096,
): Promise<BuiltinConditions> {
  const task = parseGold(await readJson(join(folders.task, 'gold.json')));
  const base = await loadModel(join(folders.task, 'base'));
  const ensemble = await loadEnsemble(folders.ensemble);
  const judge = folders.judge === undefined ? undefined : await loadEnsemble(folders.judge);
  try {
    const reference = await referenceScores(task, base, ensemble, judge, samples);
    const first = { ...task, categories: task.categories.slice(0, 1) };
    return {
      samples,
      ...agreement(reference),
      accuracy: spread(await accuracies(task, base, ensemble, taskPrompts(task))),
      accuracyWhereCovered: spread(await accuracies(task, base, ensemble, taskPrompts(first))),
      varianceByCategory: varianceByCategory(task, reference),
      judgeWithGold: reference.judge && pearson(reference.judge, reference.gold),
    };
  } finally {
    disposeModel(base);
    disposeEnsemble(ensemble);
    if (judge) disposeEnsemble(judge);
  }
}

/** Scores of the reference samples, centred per prompt and at unit standard deviation. */
interface Reference {
  prompts: string[];
  /** [K][N] */
  members: number[][];
  /** [N] relative to its mean */
  variance: number[];
  gold: number[];
  judge: number[] | null;
}

async function referenceScores(
  task: BuiltinTask,
  base: LanguageModel,
  ensemble: RewardEnsemble,
  judge: RewardEnsemble | undefined,
  count: number,
): Promise<Reference> {
  const all = taskPrompts(task);
  const prompts = Array.from({ length: count }, (_, i) => all[i % all.length] as string);
  const samples = await sampleTask(task, base, ensemble.tokenizer, prompts, { seed, purpose: 'conditions' });
  const sequences = samples.map(({ ids }) => ids);
  const normalised = normalise(prompts, await scoreSequences(ensemble, sequences));
  const gold = samples.map(({ prompt, text, hasEos }) => [goldScore(task, prompt, text, hasEos)]);
  const judged = judge && normalise(prompts, await scoreSequences(judge, sequences));
  return {
    prompts,
    members: ensemble.seeds.map((_, k) => normalised.map(({ members }) => members[k] as number)),
    variance: normalised.map(({ variance }) => variance as number),
    gold: normalise(prompts, gold).map(({ members }) => members[0] as number),
    judge: judged ? judged.map(({ members }) => members[0] as number) : null,
  };
}

function normalise(promptKeys: string[], scores: ArrayLike<number>[]) {
  const normaliser = fitScoreNormaliser({ scores, promptKeys });
  return scores.map((row, i) => normaliseScores(normaliser, row, promptKeys[i] as string));
}

function agreement({ members, variance, gold }: Reference) {
  const pairs = members.flatMap((a, i) => members.slice(i + 1).map((b) => pearson(a, b)));
  const errors = members.map((member) => member.map((score, i) => (score - (gold[i] as number)) ** 2));
  const total = (columns: number[][]) =>
    gold.map((_, i) => columns.reduce((sum, column) => sum + (column[i] as number), 0));
  return {
    betweenMembers: spread(pairs),
    withGold: spread(members.map((member) => pearson(member, gold))),
    meanWithGold: pearson(total(members), gold),
    varianceWithError: spearman(variance, total(errors)),
    varianceWithOneError: spread(errors.map((error) => spearman(variance, error))),
  };
}

async function accuracies(
  task: BuiltinTask,
  base: LanguageModel,
  ensemble: RewardEnsemble,
  prompts: string[],
): Promise<number[]> {
  const pairs = await drawPairs(task, base, ensemble.tokenizer, { prompts, count: 2000, seed, purpose: 'fresh pairs' });
  const { encoded } = encodePairs(ensemble.tokenizer, pairs, ensemble.maxTokens);
  const chosen = await scoreSequences(
    ensemble,
    encoded.map((pair) => pair.chosen),
  );
  const rejected = await scoreSequences(
    ensemble,
    encoded.map((pair) => pair.rejected),
  );
  const member = (scores: Float32Array[], k: number) => scores.map((row) => row[k] as number);
  return ensemble.seeds.map((_, k) => heldOutReport(member(chosen, k), member(rejected, k)).accuracy);
}

function varianceByCategory(task: BuiltinTask, { prompts, variance }: Reference): Record<string, number> {
  const means = task.categories.map((category) => {
    const own = new Set(taskPrompts({ ...task, categories: [category] }));
    const values = variance.filter((_, i) => own.has(prompts[i] as string));
    return [category.name, values.reduce((sum, value) => sum + value, 0) / values.length];
  });
  return Object.fromEntries(means) as Record<string, number>;
}

function spread(values: number[]): Spread {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, min: Math.min(...values), max: Math.max(...values) };
}
