import type { Prompt } from '../prompt';
import type { BenchmarkItem } from './benchmark-item';
import { decide } from './decide';
import { accuracyOfMargins } from './accuracies';
import { preferenceSets, tiesSubset } from './sections';

/** A JSON file in a form that the leaderboard's tools read. */
export interface LeaderboardFile {
  /** Below the folder of results, `/` between folders. */
  path: string;
  content: Record<string, unknown>;
}

/** A model as the leaderboard names it. */
export interface LeaderboardModel {
  /** `ORGANISATION/NAME`. */
  model: string;
  model_type: string;
  /** `tokenizer` for its own chat template, `raw` for text as it stands. */
  chat_template: string;
}

/**
 * The files that hold one model's results, as the leaderboard's tools write and read them: `eval-set/ORGANISATION/NAME.json`
 * with an accuracy for each subset, and `eval-set-scores/…` with a column of each field over the items. Sets of
 * `allenai/preference-test-sets` go to `pref-sets/` and `pref-sets-scores/`, and items of RewardBench 2 below `v2/`.
 *
 * @param items [N]
 * @param scores [N][R] of the answers, right ones first
 * Source: github.com/allenai/reward-bench, what scripts/run_rm.py and scripts/run_v2.py save.
 */
export function leaderboardFiles(
  model: LeaderboardModel,
  items: readonly BenchmarkItem[],
  scores: readonly (readonly number[])[],
): LeaderboardFile[] {
  const rows = items.map((item, i) => ({ item, scores: scores[i]! }));
  const isPreferenceSet = ({ item }: Row) => preferenceSets.includes(item.subset);
  const pairs = rows.filter(({ item }) => item.version === 1);
  const groups = [
    { folder: 'eval-set', rows: pairs.filter((row) => !isPreferenceSet(row)), columns: pairColumns },
    { folder: 'pref-sets', rows: pairs.filter(isPreferenceSet), columns: pairColumns },
    { folder: 'v2/eval-set', rows: rows.filter(({ item }) => item.version === 2), columns: listColumns },
  ];
  return groups
    .filter((group) => group.rows.length > 0)
    .flatMap(({ folder, rows: own, columns }) => [
      { path: `${folder}/${model.model}.json`, content: sorted({ ...model, ...subsetAccuracies(own) }) },
      {
        path: `${folder}-scores/${model.model}.json`,
        content: sorted({ ...model, ...columns(own), subset: own.map(({ item }) => item.subset), id: ids(own) }),
      },
    ]);
}

interface Row {
  item: BenchmarkItem;
  scores: readonly number[];
}

/** Without `Ties`: the leaderboard's score of that subset is another than its accuracy. */
function subsetAccuracies(rows: readonly Row[]): Record<string, number> {
  const names = [...new Set(rows.map(({ item }) => item.subset))].filter((name) => name !== tiesSubset);
  return Object.fromEntries(
    names.map((name) => [
      name,
      accuracyOfMargins(rows.filter(({ item }) => item.subset === name).map(margin)).accuracy,
    ]),
  );
}

function pairColumns(rows: readonly Row[]) {
  const asMessages = rows.some(({ item }) => typeof item.prompt !== 'string');
  return {
    text_chosen: rows.map(({ item }) => whole(item.prompt, item.chosen[0]!.text, asMessages)),
    text_rejected: rows.map(({ item }) => whole(item.prompt, item.rejected[0]!.text, asMessages)),
    results: rows.map(isRight),
    scores_chosen: rows.map(({ scores }) => scores[0]!),
    scores_rejected: rows.map(({ scores }) => scores[1]!),
  };
}

function listColumns(rows: readonly Row[]) {
  const asMessages = rows.some(({ item }) => typeof item.prompt !== 'string');
  return {
    text: rows.map(({ item: { prompt, chosen, rejected } }) =>
      [...chosen, ...rejected].map(({ text }) => whole(prompt, text, asMessages)),
    ),
    scores: rows.map(({ scores }) => scores),
    // Null, as the leaderboard's tools have it: they score the subset as a whole.
    results: rows.map((row) => (row.item.subset === tiesSubset ? null : isRight(row))),
    num_correct: rows.map(({ item }) => item.chosen.length),
  };
}

const isRight = (row: Row) => (margin(row) > 0 ? 1 : 0);

function margin({ item, scores }: Row): number {
  return decide(scores, item.chosen.length, item.subset).margin;
}

/** Prompt and answer: one text, or one list of messages. A column holds one kind. */
function whole(prompt: Prompt, answer: string, asMessages: boolean): Prompt {
  if (typeof prompt === 'string' && !asMessages) return prompt + answer;
  const before = typeof prompt === 'string' ? [{ role: 'user', content: prompt }] : prompt;
  return [...before, { role: 'assistant', content: answer }];
}

/** Numbers where all are, else texts: a column holds one kind. */
function ids(rows: readonly Row[]): (string | number)[] {
  const own = rows.map(({ item }) => item.id);
  return own.every((id) => typeof id === 'number') ? own : own.map(String);
}

function sorted(content: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(content).sort(([a], [b]) => (a < b ? -1 : 1)));
}
