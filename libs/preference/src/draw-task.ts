import { DomainError } from '@surefoot/errors';
import type { RandomStream } from '@surefoot/tensor';
import { preferenceProbability } from './bradley-terry';
import { taskItems, type BuiltinTask } from './builtin-task';
import { goldScore } from './gold-score';
import type { PreferencePair } from './preference-pair';

/** A response of the built-in task as a language model gives it. */
export interface TaskResponse {
  /** Words without eos, one space between them. */
  text: string;
  hasEos: boolean;
}

/** Temperature of the labels: `P(a over b) = sigmoid((gold_a - gold_b) / temperature)`; 16 to 20 % of them are flips. */
const labelTemperature = 0.7;

/** The prompt that asks for an item, without bos. */
export function taskPrompt(task: BuiltinTask, item: string): string {
  return task.prompt
    .slice(1)
    .map((word) => (word === 'ITEM' ? item : word))
    .join(' ');
}

/** Every prompt of the task, in the order of its items, without bos. */
export function taskPrompts(task: BuiltinTask): string[] {
  return taskItems(task).map(({ item }) => taskPrompt(task, item));
}

/**
 * One sentence of the language on an item: every slot drawn independently by the task's probabilities.
 *
 * @param item one of the task's items
 * @returns the response without eos, one space between its words
 */
export function drawSentence(task: BuiltinTask, random: RandomStream, item: string): string {
  const category = taskItems(task).find((entry) => entry.item === item)?.category;
  if (!category) throw new DomainError('invalid_argument', `the built-in task has no item ${item}`);
  const others = task.categories
    .filter((other) => other !== category)
    .flatMap(({ adjectives }) => adjectives.map(({ word }) => ({ word, probability: task.wrongCategory.probability })));
  const adjectives = [...category.adjectives, ...others, ...task.generalAdjectives];
  const slots = task.response.slice(0, -1).map((slot) => {
    if (slot === 'OPENER') return drawWord(random, task.openers);
    if (slot === 'CLOSER') return drawWord(random, task.closers);
    if (slot === 'ADVERB') return drawWord(random, task.adverbs);
    if (slot === 'ADJECTIVE') return drawWord(random, adjectives);
    return slot === 'ITEM' ? item : slot;
  });
  return slots.join(' ');
}

/**
 * A preference pair of two responses to one prompt, labelled by Bradley–Terry on their gold scores at temperature 0.7.
 *
 * @param random gives the one uniform number of the label
 */
export function drawPreference(
  task: BuiltinTask,
  random: RandomStream,
  prompt: string,
  [first, second]: [TaskResponse, TaskResponse],
): PreferencePair {
  const gold = ({ text, hasEos }: TaskResponse) => goldScore(task, prompt, text, hasEos);
  const isFirst = random.uniform() < preferenceProbability((gold(first) - gold(second)) / labelTemperature);
  const [chosen, rejected] = isFirst ? [first, second] : [second, first];
  return {
    prompt,
    chosen: chosen.text,
    rejected: rejected.text,
    margin: 0,
    chosenTruncated: !chosen.hasEos,
    rejectedTruncated: !rejected.hasEos,
  };
}

function drawWord(random: RandomStream, words: { word: string; probability: number }[]): string {
  const total = words.reduce((sum, { probability }) => sum + probability, 0);
  let rest = random.uniform() * total;
  for (const { word, probability } of words) {
    rest -= probability;
    if (rest < 0) return word;
  }
  // Rounding may leave a crumb; it belongs to the last word that can be drawn at all.
  return (words.findLast(({ probability }) => probability > 0) as { word: string }).word;
}
