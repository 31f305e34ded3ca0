import { DomainError } from '@surefoot/errors';
import source from './builtin-task.json';
import { isObject } from './prompt';

/** A word with what it adds to the gold score and how often a generated sentence uses it. */
export interface TaskWord {
  word: string;
  value: number;
  /** Of being drawn for its slot, 0..1. */
  probability: number;
}

/** An adverb scales the value of the adjective after it. */
export interface TaskAdverb {
  word: string;
  multiplier: number;
  probability: number;
}

/** Items that share their adjectives. */
export interface TaskCategory {
  name: string;
  items: string[];
  adjectives: TaskWord[];
}

/** The built-in task: a small language of one question and one form of answer, with a known gold score. */
export interface BuiltinTask {
  bos: string;
  eos: string;
  /** Every word of the language, in the order of token ids; bos and eos included. */
  vocabulary: string[];
  /** Words of a prompt, bos first; `ITEM` stands for an item. */
  prompt: string[];
  /** Slots of a response, eos last: words as they stand, or `OPENER`, `ITEM`, `ADVERB`, `ADJECTIVE`, `CLOSER`. */
  response: string[];
  categories: TaskCategory[];
  generalAdjectives: TaskWord[];
  /** Of each adjective that belongs to another category than the item's. */
  wrongCategory: { value: number; probability: number };
  openers: TaskWord[];
  closers: TaskWord[];
  adverbs: TaskAdverb[];
  /** Added where both adjectives are one word. */
  repeatedAdjective: number;
  /** Added for each slot that holds a word of another kind. */
  brokenSlot: number;
  brokenSlotsAtMost: number;
}

/** The task that comes with the product. */
export function builtinTask(): BuiltinTask {
  return parseGold(source);
}

/** The task as the content of a `gold.json`, which {@link parseGold} reads back. */
export function builtinGold(): unknown {
  return source;
}

/**
 * The task described by a `gold.json`.
 *
 * @throws DomainError invalid_argument naming the field that is missing or of the wrong kind
 */
export function parseGold(json: unknown): BuiltinTask {
  const gold = record(json, 'the file');
  const special = record(gold['special'], 'special');
  const wrongCategory = record(gold['wrong_category_adjective'], 'wrong_category_adjective');
  return {
    bos: text(special['bos'], 'special.bos'),
    eos: text(special['eos'], 'special.eos'),
    vocabulary: list(gold['vocabulary_order'], 'vocabulary_order', text),
    prompt: list(gold['prompt'], 'prompt', text),
    response: list(gold['response'], 'response', text),
    categories: list(gold['categories'], 'categories', category),
    generalAdjectives: list(gold['general_adjectives'], 'general_adjectives', taskWord),
    wrongCategory: {
      value: number(wrongCategory['value'], 'wrong_category_adjective.value'),
      probability: number(wrongCategory['probability_each'], 'wrong_category_adjective.probability_each'),
    },
    openers: list(gold['openers'], 'openers', taskWord),
    closers: list(gold['closers'], 'closers', taskWord),
    adverbs: list(gold['adverbs'], 'adverbs', adverb),
    repeatedAdjective: number(gold['repeated_adjective'], 'repeated_adjective'),
    brokenSlot: number(gold['broken_slot'], 'broken_slot'),
    brokenSlotsAtMost: number(gold['broken_slots_counted_at_most'], 'broken_slots_counted_at_most'),
  };
}

/** Every item with its category, in the order of the categories. */
export function taskItems(task: BuiltinTask): { item: string; category: TaskCategory }[] {
  return task.categories.flatMap((category) => category.items.map((item) => ({ item, category })));
}

function category(value: unknown, field: string): TaskCategory {
  const fields = record(value, field);
  return {
    name: text(fields['name'], `${field}.name`),
    items: list(fields['items'], `${field}.items`, text),
    adjectives: list(fields['adjectives'], `${field}.adjectives`, taskWord),
  };
}

function taskWord(value: unknown, field: string): TaskWord {
  const fields = record(value, field);
  return {
    word: text(fields['word'], `${field}.word`),
    value: number(fields['value'], `${field}.value`),
    probability: number(fields['probability'], `${field}.probability`),
  };
}

function adverb(value: unknown, field: string): TaskAdverb {
  const fields = record(value, field);
  return {
    word: text(fields['word'], `${field}.word`),
    multiplier: number(fields['multiplier'], `${field}.multiplier`),
    probability: number(fields['probability'], `${field}.probability`),
  };
}

function record(value: unknown, field: string): Record<string, unknown> {
  if (!isObject(value)) throw wrong(field, 'an object');
  return value;
}

function list<Entry>(value: unknown, field: string, entry: (value: unknown, field: string) => Entry): Entry[] {
  if (!Array.isArray(value) || value.length === 0) throw wrong(field, 'a list with at least one entry');
  return value.map((one, i) => entry(one, `${field}[${i}]`));
}

function text(value: unknown, field: string): string {
  if (typeof value !== 'string' || value === '') throw wrong(field, 'text');
  return value;
}

function number(value: unknown, field: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw wrong(field, 'a number');
  return value;
}

function wrong(field: string, expected: string): DomainError {
  return new DomainError('invalid_argument', `gold task: ${field} must be ${expected}; write it with \`task write\``);
}
