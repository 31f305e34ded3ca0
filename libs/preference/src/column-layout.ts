import { describe, invalid, isObject, parseMessage, parseText, type ChatMessage } from './prompt';

/** How a data set spells preferences in its columns. */
export type ColumnLayout =
  | 'ab-conversations'
  | 'ab-references'
  | 'two-responses'
  | 'answer-lists'
  | 'message-lists'
  | 'texts'
  | 'marked-texts'
  | 'rated-rows';

type Row = Record<string, unknown>;

/**
 * What a row says: rows `{prompt, chosen, rejected, …}` for `parsePair`, most often one; or why it says nothing. `half` is the
 * first of two rows that make a pair, which the next one completes unless it is a `half` too.
 */
export type RowContent = Row[] | 'tie' | 'no common prefix' | 'half';

/** Reads the rows of one file in order: the one after a `half` completes it. */
export type LayoutReader = (row: Row) => RowContent;

interface LayoutEntry {
  layout: ColumnLayout;
  fits(row: Row): boolean;
  /** What the columns mean, for people. */
  meaning: string;
  reader(): LayoutReader;
}

const has = (row: Row, name: string) => row[name] !== undefined && row[name] !== null;

/** In the order in which they are tried; the last takes what no other does. */
const layouts: LayoutEntry[] = [
  {
    layout: 'ab-conversations',
    fits: (row) => has(row, 'conv_A') && has(row, 'conv_B'),
    meaning: 'conv_A and conv_B, message lists; the one with the higher conv_…_rating is chosen',
    reader: () => (row) => {
      const better = number(row, 'conv_A_rating') - number(row, 'conv_B_rating');
      return ranked(better, row['conv_A'], row['conv_B'], { id: row['id'] });
    },
  },
  {
    layout: 'ab-references',
    fits: (row) => has(row, 'human_ref_A') && has(row, 'human_ref_B'),
    meaning: 'history, human_ref_A and human_ref_B; A is chosen where labels is 1',
    reader: () => (row) => {
      const label = number(row, 'labels');
      if (label !== 0 && label !== 1) throw invalid(`labels is ${label}, not 0 or 1`);
      return ranked(label - 0.5, row['human_ref_A'], row['human_ref_B'], { prompt: row['history'] });
    },
  },
  {
    layout: 'two-responses',
    fits: (row) => has(row, 'response1') || has(row, 'response_1'),
    meaning: 'prompt or context and two responses; a preference below 0 chooses the first',
    reader: () => (row) => {
      const preference = number(row, has(row, 'overall_preference') ? 'overall_preference' : 'preference_strength');
      const prompt = markedTurns(has(row, 'context') ? row['context'] : row['prompt']);
      const first = row['response1'] ?? row['response_1'];
      return ranked(-preference, first, row['response2'] ?? row['response_2'], { id: row['id'], prompt });
    },
  },
  {
    layout: 'answer-lists',
    fits: ({ chosen }) =>
      Array.isArray(chosen) && chosen.length > 0 && chosen.every((text) => typeof text === 'string'),
    meaning: 'prompt, and lists of right and wrong answers; each right one with each wrong one is a pair',
    reader: () => (row) => {
      const [chosen, rejected] = [texts(row, 'chosen'), texts(row, 'rejected')];
      return chosen.flatMap((right) => rejected.map((wrong) => ({ ...row, chosen: right, rejected: wrong })));
    },
  },
  {
    layout: 'message-lists',
    fits: ({ chosen }) => Array.isArray(chosen) || isObject(chosen),
    meaning: 'chosen and rejected, message lists; what they share is the prompt',
    reader: () => unlessScoresTie,
  },
  {
    layout: 'marked-texts',
    fits: (row) => !has(row, 'prompt') && !has(row, 'conversations') && lastMark(row['chosen']) > 0,
    meaning: 'chosen and rejected, texts; the prompt ends with the last mark "Assistant:"',
    reader: () => (row) => {
      const [chosen, rejected] = [splitAtMark(row, 'chosen'), splitAtMark(row, 'rejected')];
      if (chosen.prompt !== rejected.prompt) return 'no common prefix';
      if (chosen.response === rejected.response) return 'tie';
      return [{ ...row, prompt: chosen.prompt, chosen: chosen.response, rejected: rejected.response }];
    },
  },
  {
    layout: 'rated-rows',
    fits: (row) => !has(row, 'chosen') && has(row, 'response') && has(row, 'helpfulness'),
    meaning: 'prompt, response and helpfulness; two rows on end with one prompt are a pair',
    reader: ratedRows,
  },
  {
    layout: 'texts',
    fits: () => true,
    meaning: 'prompt, chosen and rejected',
    reader: () => unlessScoresTie,
  },
];

/** How a file whose first row is this spells preferences. */
export function sniffLayout(row: Row): Omit<LayoutEntry, 'fits'> {
  return layouts.find(({ fits }) => fits(row)) as LayoutEntry;
}

/** The pair of two responses. @param better above 0 where `a` is preferred, 0 where neither is */
function ranked(better: number, a: unknown, b: unknown, rest: Row): RowContent {
  if (better === 0 || JSON.stringify(a) === JSON.stringify(b)) return 'tie';
  return [{ ...rest, ...(better > 0 ? { chosen: a, rejected: b } : { chosen: b, rejected: a }) }];
}

function unlessScoresTie(row: Row): RowContent {
  const { score_chosen: chosen, score_rejected: rejected, conversations } = row;
  if (typeof chosen === 'number' && chosen === rejected) return 'tie';
  return [has(row, 'prompt') || !conversations ? row : { ...row, prompt: conversations }];
}

function ratedRows(): LayoutReader {
  let first: Row | undefined;
  return (row) => {
    const rating = number(row, 'helpfulness');
    if (!first || first['prompt'] !== row['prompt']) {
      first = row;
      return 'half';
    }
    const better = number(first, 'helpfulness') - rating;
    const pair = ranked(better, first['response'], row['response'], { prompt: markedTurns(row['prompt']) });
    first = undefined;
    return pair;
  };
}

const assistantMark = '\n\nAssistant:';

function lastMark(text: unknown): number {
  return typeof text === 'string' ? text.lastIndexOf(assistantMark) : -1;
}

function splitAtMark(row: Row, field: string): { prompt: string; response: string } {
  const text = parseText(row[field], field);
  const place = lastMark(text);
  if (place < 0) throw invalid(`${field} has no mark "Assistant:" at the beginning of a paragraph`);
  const end = place + assistantMark.length;
  return { prompt: text.slice(0, end), response: text.slice(end) };
}

/** A text in which marks begin the turns after the first, as messages; anything else as it is. */
function markedTurns(prompt: unknown): unknown {
  if (typeof prompt !== 'string' || !prompt.includes('<extra_id_1>')) return prompt;
  const [first = '', ...turns] = prompt.split(/\n?<extra_id_1>(User|Assistant)\n?/);
  const messages: ChatMessage[] = [];
  if (first.trim() !== '') messages.push({ role: 'user', content: first });
  for (let i = 0; i + 1 < turns.length; i += 2)
    // The last mark opens the answer.
    if (turns[i + 1] !== '' || i + 2 < turns.length)
      messages.push(parseMessage({ role: turns[i]!.toLowerCase(), content: turns[i + 1] }, 'prompt'));
  return messages;
}

function texts(row: Row, field: string): unknown[] {
  const value = row[field];
  if (!Array.isArray(value)) throw invalid(`${field} is ${describe(value)}, where the other responses are a list`);
  if (value.length === 0) throw invalid(`${field} is an empty list`);
  return value;
}

function number(row: Row, field: string): number {
  const value = row[field];
  if (typeof value === 'number' && Number.isFinite(value)) return value;
  throw invalid(`${field} is ${describe(value)}, not a finite number`);
}
