import { basename } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { inputName } from '@surefoot/files';
import { readRollouts, type RolloutRow } from '@surefoot/preference';
import { disagreementFigures, renderDisagreement } from '@surefoot/report';
import { counted } from '@surefoot/risk';
import { defineCommand, type Context } from '../command';
import {
  disagreementDocument,
  pairResponses,
  type DisagreementDocument,
  type ScoredText,
} from '../disagreement-document';
import { UsageError } from '../failure';
import { refuseSecondStdin } from '../lines';
import { option, text, texts } from '../option';
import { pairOptions, readPairFiles } from '../pair-files';
import { scoreFileOptions, scoreRollouts } from '../score-file';
import { writeFindings } from '../findings';
import { decimals } from '../table';

/** A rollout to score, of `--in` or of what it is compared with. */
interface Row extends RolloutRow {
  givenId: string | number;
  isOther: boolean;
  source: string;
}

export const rewardDisagree = defineCommand({
  name: 'reward disagree',
  summary: 'how much the members disagree on the same text, in numbers, figures and a page',
  example: 'reward disagree --ensemble ensemble --in rollouts.jsonl --pairs pairs.jsonl --out disagreement',
  options: {
    ...scoreFileOptions,
    against: option('<file>', 'other rollouts, such as familiar ones, to compare with', text.optional()),
    pairs: option(
      '<files...>',
      'the pairs that the members were fitted to: ranges by distance from them and, without --against, against theirs',
      texts.optional(),
    ),
    columns: pairOptions.columns,
    split: pairOptions.split,
    id: option('<id>', 'the text whose scores are drawn; default the one they differ most on', text.optional()),
    out: option('<dir>', 'folder for disagreement.json, disagreement.html and figures', text),
  },
  async run(options, context) {
    if (!options.pairs && (options.columns || options.split !== undefined))
      throw new UsageError('--columns and --split say how --pairs are read: give both, or neither');
    refuseSecondStdin([options.in, options.against, ...(options.pairs ?? [])]);
    const { rows, pairs, malformed, names } = await readTexts(options, context);
    const own: ScoredText[] = [];
    const others: ScoredText[] = [];
    const { model, isCalibrated, skipped } = await scoreRollouts(rows, options, context, (row, scores) => {
      const { givenId: id, prompt, response, isOther } = row;
      (isOther ? others : own).push({ id, prompt, response, scores });
    });
    const all = malformed + skipped;
    if (all > 0) context.terminal.note(`${counted(all, 'rollout')} skipped`);
    if (own.length === 0) throw new DomainError('invalid_argument', `${names.own}: no rollout can be scored`);
    if (others.length === 0 && rows.some(({ isOther }) => isOther))
      throw new DomainError(
        'invalid_argument',
        `${names.others}: none can be scored, so there is nothing to compare with`,
      );
    const found = disagreementDocument(
      { name: names.own, texts: own },
      {
        against: others.length > 0 ? { name: names.others, texts: others } : undefined,
        pairs: pairs && { name: 'the pairs', pairs },
      },
    );
    const document = { ...found, model, calibrated: isCalibrated, ...(all > 0 && { skipped: all }) };
    const figures = await disagreementFigures(found, { id: options.id });
    const page = await renderDisagreement({ title: model, disagreement: document, id: options.id });
    const files = await writeFindings(options.out, 'disagreement.json', document, [
      { name: 'disagreement.html', text: page },
      ...figures.map(({ name, svg }) => ({ name, text: svg })),
    ]);
    return {
      document,
      text: [...describe(found, isCalibrated), ...files].join('\n'),
    };
  },
});

/** The rollouts of `--in` and after them those to compare with, told apart by their ids; and the pairs. */
async function readTexts(
  options: {
    in: string;
    against?: string;
    pairs?: string[];
    columns?: Parameters<typeof readPairFiles>[0]['columns'];
    split?: string;
    skipInvalid: boolean;
  },
  { terminal }: Context,
) {
  let malformed = 0;
  const read = (file: string) =>
    readRollouts(
      file,
      options.skipInvalid
        ? ({ line, reason }) => {
            malformed += 1;
            terminal.note(`skipped ${inputName(file)} line ${line}: ${reason}`);
          }
        : undefined,
    );
  const own = await read(options.in);
  const { pairs, columns, split, skipInvalid } = options;
  const settings = { columns, split, skipInvalid, evalPairs: undefined, evalSplit: undefined };
  const found = pairs && (await readPairFiles({ ...settings, pairs }, terminal)).pairs;
  const others: (RolloutRow & { givenId?: string | number })[] =
    options.against !== undefined ? await read(options.against) : found ? pairResponses(found, own.length) : [];
  const files = {
    own: inputName(options.in),
    others: options.against === undefined ? 'responses of the pairs' : inputName(options.against),
  };
  const rows: Row[] = [
    ...own.map((row) => ({ ...row, isOther: false, source: files.own })),
    ...others.map((row) => ({
      ...{ ...row, givenId: row.givenId ?? row.id, id: `against ${row.id}` },
      ...{ isOther: true, source: files.others },
    })),
  ];
  const names = { own: basename(files.own), others: basename(files.others) };
  return { rows, pairs: found, malformed, names };
}

function describe(
  { name, members, texts: own, rangeQuantiles, against, distance }: DisagreementDocument,
  isCalibrated: boolean,
): string[] {
  const rangeText = (texts: readonly unknown[], quantiles: DisagreementDocument['rangeQuantiles']) =>
    `${texts.length === 1 ? 'the range is' : 'the median range is'} ${quantiles.find(({ level }) => level === 0.5)!.value.toFixed(2)}`;
  return [
    `${counted(members, 'member')} on ${counted(own.length, 'text')}: ${rangeText(own, rangeQuantiles)}${isCalibrated ? ' standard deviations' : ''}`,
    ...(against
      ? [
          `${against.name}: ${rangeText(against.texts, against.rangeQuantiles)}; a range of ${name} is the wider one in ${(100 * against.wider).toFixed(0)} % of all comparisons`,
        ]
      : []),
    ...(distance?.spearman != null
      ? [
          `rank correlation of a text's distance from ${distance.from} with its range: ${decimals(distance.spearman, 2)}`,
        ]
      : []),
  ];
}
