import { DomainError } from '@surefoot/errors';
import { taskItems, type BuiltinTask, type TaskCategory } from './builtin-task';

/**
 * The true score of a response of the built-in task.
 *
 * Value of the opener + value of the closer + for each adjective slot adverb multiplier × adjective value (an adjective of
 * another category than the item's has a value of its own) + `repeatedAdjective` where both adjectives are one word
 * + `brokenSlot` for each slot that holds a word of another kind, at most `brokenSlotsAtMost` times. A broken slot adds
 * nothing else; an adjective counts only with an adverb before it.
 *
 * @param prompt     words of the prompt, with or without bos, one space between them
 * @param response   words of the response without eos, one space between them; may be empty
 * @param hasEos     whether the response ended by itself; the last slot is broken where it did not, or did so too late
 * @throws DomainError invalid_argument where the prompt is not one of the task's
 */
export function goldScore(task: BuiltinTask, prompt: string, response: string, hasEos: boolean): number {
  const { item, category } = promptItem(task, prompt);
  const words = response.split(' ').filter((word) => word !== '');
  if (hasEos) words.push(task.eos);
  const adjectives: string[] = [];
  let multiplier: number | undefined;
  let broken = 0;
  let score = 0;
  task.response.forEach((slot, position) => {
    const word = words[position] ?? '';
    const value = slotValue(task, category, item, slot, word);
    if (value === undefined) broken += 1;
    if (slot === 'ADVERB') multiplier = value;
    else if (slot === 'ADJECTIVE') score += (multiplier ?? 0) * (value ?? 0);
    else score += value ?? 0;
    if (slot === 'ADJECTIVE' && value !== undefined) adjectives.push(word);
  });
  if (new Set(adjectives).size < adjectives.length) score += task.repeatedAdjective;
  return score + task.brokenSlot * Math.min(broken, task.brokenSlotsAtMost);
}

/** What a word is worth in its slot, or undefined where it does not belong there. */
function slotValue(
  task: BuiltinTask,
  category: TaskCategory,
  item: string,
  slot: string,
  word: string,
): number | undefined {
  switch (slot) {
    case 'OPENER':
      return valueOf(task.openers, word);
    case 'CLOSER':
      return valueOf(task.closers, word);
    case 'ADVERB':
      return task.adverbs.find((adverb) => adverb.word === word)?.multiplier;
    case 'ADJECTIVE':
      return adjectiveValue(task, category, word);
    default:
      return word === (slot === 'ITEM' ? item : slot) ? 0 : undefined;
  }
}

function adjectiveValue(task: BuiltinTask, category: TaskCategory, word: string): number | undefined {
  const own = valueOf(category.adjectives, word) ?? valueOf(task.generalAdjectives, word);
  if (own !== undefined) return own;
  const isOthers = task.categories.some(({ adjectives }) => valueOf(adjectives, word) !== undefined);
  return isOthers ? task.wrongCategory.value : undefined;
}

function valueOf(words: { word: string; value: number }[], word: string): number | undefined {
  return words.find((entry) => entry.word === word)?.value;
}

function promptItem(task: BuiltinTask, prompt: string): { item: string; category: TaskCategory } {
  const found = taskItems(task).find(({ item }) => {
    const words = task.prompt.map((word) => (word === 'ITEM' ? item : word)).join(' ');
    return prompt === words || `${task.bos} ${prompt}` === words;
  });
  if (!found)
    throw new DomainError('invalid_argument', 'the prompt is not one of the built-in task: there is no gold score');
  return found;
}
