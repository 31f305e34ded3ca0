import { DomainError } from '@surefoot/errors';
import { parseColumns, readPairs, type PairFile, type PreferencePair, type RowPlace } from '@surefoot/preference';
import { z } from 'zod';
import { counted } from '@surefoot/risk';
import { refuseSecondStdin } from './lines';
import { flag, option, text, texts } from './option';
import type { Terminal } from './terminal';

/** The options of a command that reads preference pairs. */
export const pairOptions = {
  pairs: option('<files...>', 'preference pairs: JSON lines, gz too, or Parquet; the columns are recognised', texts),
  evalPairs: option('<files...>', 'pairs to report accuracy, log-loss and calibration on', texts.optional()),
  columns: option(
    '<list>',
    'columns to read instead, as prompt=question,chosen=best,rejected=worst,margin=by',
    z.string().transform(columnsOf).optional(),
  ),
  split: option('<name>', 'of --pairs, only rows with this in their column split', text.optional()),
  evalSplit: option('<name>', 'of --eval-pairs, only rows with this in their column split', text.optional()),
  skipInvalid: option('', 'pass over malformed pairs, and name them', flag),
};

/** What `pairOptions` hold. */
type PairOptions = { [Name in keyof typeof pairOptions]: z.output<(typeof pairOptions)[Name]['schema']> };

/** Pairs of files, and what was found in each file. */
export interface ReadPairs {
  pairs: PreferencePair[];
  evalPairs: PreferencePair[] | undefined;
  /** Where each of them was read. */
  places: { pairs: RowPlace[]; evalPairs: RowPlace[] };
  data: { pairs: PairFile[]; evalPairs?: PairFile[] };
}

/** Reads the files of pairs, and notes what was recognised in each and which rows were left out. */
export async function readPairFiles(options: PairOptions, { note }: Pick<Terminal, 'note'>): Promise<ReadPairs> {
  const { columns, skipInvalid } = options;
  refuseSecondStdin([...options.pairs, ...(options.evalPairs ?? [])]);
  const read = async (files: string[], split: string | undefined) => {
    const found = await readPairs(files, { skipInvalid, columns, split });
    for (const { file, line, reason } of found.invalid) note(`skipped ${file} line ${line}: ${reason}`);
    if (found.invalid.length > 0) note(`${counted(found.invalid.length, 'malformed row')} skipped`);
    found.files.map(describeFile).forEach(note);
    return found;
  };
  const training = await read(options.pairs, options.split);
  const heldOut = options.evalPairs && (await read(options.evalPairs, options.evalSplit));
  return {
    pairs: training.pairs,
    evalPairs: heldOut?.pairs,
    places: { pairs: training.places, evalPairs: heldOut?.places ?? [] },
    data: { pairs: training.files, ...(heldOut && { evalPairs: heldOut.files }) },
  };
}

/** `data.parquet: 200 pairs of 203 rows (message-lists: …); dropped: 3 ties`. */
function describeFile({ file, layout, meaning, rows, pairs, splits, ...dropped }: PairFile): string {
  const reasons = [
    [dropped.ties, 'ties'],
    [dropped.withoutCommonPrefix, 'without a common prefix'],
    [dropped.ofOtherSplits, 'of other splits'],
    [dropped.invalid, 'malformed'],
  ].filter(([count]) => count);
  const parts = [`${file}: ${pairs} pairs of ${rows} rows (${layout ?? 'none'}: ${meaning})`];
  if (reasons.length > 0) parts.push(`dropped: ${reasons.map((reason) => reason.join(' ')).join(', ')}`);
  const named = Object.entries(splits);
  if (named.length > 1) parts.push(`splits: ${named.map(([split, count]) => `${split} ${count}`).join(', ')}`);
  return parts.join('; ');
}

function columnsOf(list: string, context: z.RefinementCtx) {
  try {
    return parseColumns(list);
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    context.addIssue({ code: 'custom', message: error.message });
    return z.NEVER;
  }
}
