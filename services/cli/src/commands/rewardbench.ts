import { dirname, join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { inputName, makeFolder, writeFileAtomically } from '@surefoot/files';
import {
  benchmarkReport,
  leaderboardFiles,
  meanScores,
  memberScores,
  readBenchmark,
  type BenchmarkItem,
  type BenchmarkReport,
  type ScorerReport,
} from '@surefoot/preference';
import { rewardBenchFigures } from '@surefoot/report';
import { counted } from '@surefoot/risk';
import { defineCommand, type Context } from '../command';
import { weights } from '../model-options';
import { flag, option, text, texts } from '../option';
import { scoreAnswers, type ScoredAnswers } from '../score-answers';
import { noteUncalibrated, openScorer, scorerOptions, type Scorer } from '../scorer';
import { table } from '../table';
import { toJson } from '../terminal';
import { writeFindings } from '../findings';

export const rewardBench = defineCommand({
  name: 'rewardbench',
  summary: 'how often an ensemble and each of its members prefer the better answer, by the sections of RewardBench',
  example: 'rewardbench --ensemble ensemble --in reward-bench.parquet --out benchmark',
  options: {
    ...scorerOptions,
    in: option('<files...>', 'rows of RewardBench 1 or 2, or pairs: JSON lines, gz too, or Parquet', texts),
    out: option('<dir>', 'folder for rewardbench.json, figures and the files of the leaderboard', text),
    chat: option('', 'a prompt that is text is a message of the user, rendered by the chat template', flag),
    skipInvalid: option('', 'pass over items that cannot be read or scored, and name them', flag),
    weights,
  },
  async run({ in: files, out, chat, skipInvalid, ...options }, context) {
    let skipped = 0;
    const passOver = (reason: string) => {
      skipped += 1;
      context.terminal.note(`skipped ${reason}`);
    };
    const read = await readBenchmark(
      files,
      skipInvalid ? ({ file, line, reason }) => passOver(`${file} line ${line}: ${reason}`) : undefined,
    );
    const items = chat ? read.map(asConversation) : read;
    const scorer = await openScorer(options, context);
    let answers: ScoredAnswers[];
    try {
      noteUncalibrated(scorer, options, context);
      checkTemplate(scorer, items, chat, context);
      answers = await scoreAnswers(scorer, items, context, skipInvalid ? passOver : undefined);
    } finally {
      scorer.close();
    }
    if (skipped > 0) context.terminal.note(`${counted(skipped, 'item')} skipped`);
    if (answers.length === 0)
      throw new DomainError('invalid_argument', `${files.map(inputName).join(', ')}: no item can be scored`);
    const scored = answers.map(({ item: { id, subset, chosen }, scores }) => ({
      ...{ id, subset, correct: chosen.length, scores },
    }));
    const found = benchmarkReport(scored, scorer.calibration);
    const results = leaderboard(found, answers, scorer);
    const figures = await rewardBenchFigures(found);
    for (const { path, content } of results) {
      await makeFolder(join(out, dirname(path)));
      await writeFileAtomically(join(out, path), `${toJson(content, 4)}\n`);
    }
    const document = { model: scorer.model, skipped, chat, ...found };
    const beside = figures.map(({ name, svg }) => ({ name, text: svg }));
    const shown = await writeFindings(out, 'rewardbench.json', document, beside);
    return {
      document,
      text: [describe(found), ...shown, `and ${results.length} files for the leaderboard's tools`].join('\n'),
    };
  },
});

function asConversation(item: BenchmarkItem): BenchmarkItem {
  const { prompt } = item;
  return typeof prompt === 'string' ? { ...item, prompt: [{ role: 'user', content: prompt }] } : item;
}

/** That conversations go in as the model expects them, as far as it is known. */
function checkTemplate(
  { model, hasChatTemplate }: Scorer,
  items: readonly BenchmarkItem[],
  chat: boolean,
  { terminal }: Context,
): void {
  if (chat && hasChatTemplate === false)
    throw new DomainError('failed_precondition', `${model} has no chat template: leave out --chat`);
  if (hasChatTemplate && items.some(({ prompt }) => typeof prompt === 'string'))
    terminal.note('prompts go in as they stand; --chat renders them by the chat template, as the leaderboard does');
}

/** Each model as it would appear on its own: a member with its raw scores, the mean with the calibrated ones. */
function leaderboard(found: BenchmarkReport, answers: readonly ScoredAnswers[], { model, calibration }: Scorer) {
  const organisation = model.replace(/@.*$/, '').replace(/[^A-Za-z0-9._-]/g, '-');
  const ranked = [
    { name: found.mean.name, scores: meanScores(answers, calibration) },
    ...found.members.map(({ name }, k) => ({ name, scores: answers.map(({ scores }) => memberScores(scores, k)) })),
  ];
  const isRaw = answers.every(({ item }) => typeof item.prompt === 'string');
  return ranked.flatMap(({ name, scores }) =>
    leaderboardFiles(
      {
        model: `${organisation}/${name}`,
        model_type: 'Seq. Classifier',
        chat_template: isRaw ? 'raw' : 'tokenizer',
      },
      answers.map(({ item }) => item),
      scores,
    ),
  );
}

const percent = (share: number) => (100 * share).toFixed(1);

function describe(found: BenchmarkReport): string {
  const { mean, members, coverage } = found;
  const areas = coverage && [
    `accuracy over all coverages: ${percent(coverage.byVariance.area)} when the items of largest variance are left out first, ` +
      `${percent(coverage.byMargin.area)} by the smallest margin, ${percent(mean.accuracy)} at random, ${percent(coverage.bestArea)} at best`,
  ];
  return [accuracyTable(found), '', scorerTable([mean, ...members]), ...(areas ?? []), ...notes(mean)].join('\n');
}

function accuracyTable({ mean, members }: BenchmarkReport): string {
  type Line = { accuracy: number; accuracyCi95: [number, number]; items?: number; ties?: number };
  const line = (name: string, of: (scorer: ScorerReport) => Line) => {
    const { accuracy, accuracyCi95, items, ties } = of(mean);
    const own = members.map((member) => of(member).accuracy);
    return [
      ...[name, items === undefined ? '' : String(items), percent(accuracy), accuracyCi95.map(percent).join(' to ')],
      ...[`${percent(Math.min(...own))} to ${percent(Math.max(...own))}`, ties === undefined ? '' : String(ties)],
    ];
  };
  return table(
    ['accuracy, %', 'items', 'mean', '95 %', 'members', 'ties'],
    [
      ...Object.keys(mean.subsets).map((name) => line(name, ({ subsets }) => subsets[name]!)),
      ...Object.keys(mean.sections).map((name) =>
        line(`= ${name}`, ({ sections }) => sections[name as keyof typeof sections]!),
      ),
      ...(mean.priorSets ? [line('= Prior Sets', ({ priorSets }) => priorSets!)] : []),
      ...(mean.overall ? [line('= overall', ({ overall }) => overall!)] : []),
      ...(mean.meanOfSections ? [line('= mean of four', ({ meanOfSections }) => meanOfSections!)] : []),
      line('all items', (scorer) => scorer),
    ],
  );
}

function scorerTable(scorers: readonly ScorerReport[]): string {
  return table(
    ['model', 'accuracy', 'ties', 'ECE', 'Brier', 'sure and right', 'sure and wrong'],
    scorers.map(({ name, accuracy, ties, calibration, confident }) => [
      ...[name, percent(accuracy), String(ties), calibration.ece.toFixed(3), calibration.brier.toFixed(3)],
      ...[percent(confident.right), percent(confident.wrong)],
    ]),
  );
}

/** What the scores leave out. */
function notes({ sections, overall, subsets }: ScorerReport): string[] {
  const incomplete = Object.entries(sections).filter(([, { missing }]) => missing.length > 0);
  const short = Object.entries(subsets).filter(
    ([, { items, rowsOfBenchmark }]) => rowsOfBenchmark !== null && items !== rowsOfBenchmark,
  );
  return [
    ...incomplete.map(([name, { missing }]) => `${name} is without ${missing.join(', ')}`),
    ...(overall && overall.missing.length > 0 ? [`overall is without ${overall.missing.join(', ')}`] : []),
    ...short.map(([name, { items, rowsOfBenchmark }]) => `${name} has ${items} of its ${rowsOfBenchmark} rows`),
  ];
}
