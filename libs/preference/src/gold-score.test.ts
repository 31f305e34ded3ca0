import { describe, expect, test } from '@jest/globals';
import { builtinGold, builtinTask, parseGold } from './builtin-task';
import { goldScore } from './gold-score';

const task = builtinTask();
const soup = 'how is the soup ?';
const gold = (response: string, hasEos = true) => goldScore(task, soup, response, hasEos);

describe('goldScore', () => {
  test('adds opener, closer and adverb times adjective', () => {
    // sure .3, very 1.5 × fresh .8, quite 1 × crispy .9, friend .2
    expect(gold('sure the soup is very fresh and quite crispy friend .')).toBeCloseTo(0.3 + 1.2 + 0.9 + 0.2, 12);
    // well -.3, not -1 × stale -.7, barely -.25 × tasty .6, thanks -.2
    expect(gold('well the soup is not stale and barely tasty thanks .')).toBeCloseTo(-0.3 + 0.7 - 0.15 - 0.2, 12);
  });
  test('takes the prompt with or without bos', () => {
    const response = 'sure the soup is very fresh and quite crispy friend .';
    expect(goldScore(task, `<bos> ${soup}`, response, true)).toBe(gold(response));
  });
  test('values an adjective of another category at -.4, a general one at its own value', () => {
    // really 1.25 × fast (of gadgets) -.4; slightly .5 × great .8
    expect(gold('sure the soup is really fast and slightly great friend .')).toBeCloseTo(0.3 - 0.5 + 0.4 + 0.2, 12);
  });
  test('punishes a repeated adjective by .8', () => {
    expect(gold('sure the soup is very fresh and quite fresh friend .')).toBeCloseTo(0.3 + 1.2 + 0.8 + 0.2 - 0.8, 12);
    // fast is worth -.4 twice, and is still one word used twice
    expect(gold('sure the soup is quite fast and quite fast friend .')).toBeCloseTo(0.3 - 0.8 + 0.2 - 0.8, 12);
  });
  test('breaks the last slot where eos is missing, or comes too late', () => {
    const whole = 'sure the soup is very fresh and quite crispy friend .';
    expect(gold(whole, false)).toBeCloseTo(2.6 - 1, 12);
    expect(gold(`${whole} .`)).toBeCloseTo(2.6 - 1, 12);
    expect(gold(`${whole} . .`)).toBeCloseTo(2.6 - 1, 12);
  });
  test('breaks a slot that holds another kind of word, which then adds nothing', () => {
    // another item than the prompt's: one broken slot
    expect(gold('sure the cake is very fresh and quite crispy friend .')).toBeCloseTo(2.6 - 1, 12);
    // no adverb before the second adjective: it does not count
    expect(gold('sure the soup is very fresh and soup crispy friend .')).toBeCloseTo(0.3 + 1.2 + 0.2 - 1, 12);
    // an adverb where the second adjective should be
    expect(gold('sure the soup is very fresh and quite quite friend .')).toBeCloseTo(0.3 + 1.2 + 0.2 - 1, 12);
  });
  test('counts at most three broken slots', () => {
    // sure is an opener; eleven slots are broken, eos among them by its place
    expect(gold('sure')).toBeCloseTo(0.3 - 3, 12);
    expect(gold('')).toBe(-3);
    expect(gold('', false)).toBe(-3);
  });
  test('refuses a prompt that is not of the task', () => {
    expect(() => goldScore(task, 'how is the moon ?', 'x', true)).toThrow('not one of the built-in task');
  });
});

describe('the task', () => {
  test('is self-contained: gold.json is read back as the same task', () => {
    expect(parseGold(JSON.parse(JSON.stringify(builtinGold())))).toEqual(task);
  });
  test('has 24 items in 4 categories and a vocabulary without doubles that holds every word', () => {
    expect(task.categories.map(({ items }) => items.length)).toEqual([6, 6, 6, 6]);
    const words = new Set(task.vocabulary);
    expect(words.size).toBe(task.vocabulary.length);
    const used = [
      ...[...task.openers, ...task.closers, ...task.adverbs, ...task.generalAdjectives].map(({ word }) => word),
      ...task.categories.flatMap(({ items, adjectives }) => [...items, ...adjectives.map(({ word }) => word)]),
    ];
    expect(used.filter((word) => !words.has(word))).toEqual([]);
  });
  test('has probabilities that sum to 1 in every slot', () => {
    const total = (words: { probability: number }[]) => words.reduce((sum, { probability }) => sum + probability, 0);
    expect(total(task.openers)).toBeCloseTo(1, 6);
    expect(total(task.closers)).toBeCloseTo(1, 6);
    expect(total(task.adverbs)).toBeCloseTo(1, 6);
    for (const { adjectives } of task.categories)
      expect(total(adjectives) + 24 * task.wrongCategory.probability).toBeCloseTo(1, 4);
  });
  test('names the field of a damaged gold.json', () => {
    expect(() => parseGold([])).toThrow('the file must be an object');
    const damaged = { ...(builtinGold() as object), closers: [{ word: 'bro', value: 'x', probability: 1 }] };
    expect(() => parseGold(damaged)).toThrow('closers[0].value must be a number');
  });
});
