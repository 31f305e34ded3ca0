import { DomainError } from '@surefoot/errors';
import { inputName, readRows, type Row } from '@surefoot/files';
import { sniffLayout, type ColumnLayout, type LayoutReader, type RowContent } from './column-layout';
import { withColumns, type Columns } from './columns';
import { parsePair, type PreferencePair } from './preference-pair';
import { invalid, parseRow } from './prompt';

/** Where a row is. */
export interface RowPlace {
  file: string;
  /** Counted from 1: the line, or the row of a Parquet file. */
  line: number;
}

/** A row that was passed over, and why. */
export interface InvalidRow extends RowPlace {
  reason: string;
}

/** What was found in a file of pairs. */
export interface PairFile {
  file: string;
  /** Recognised from the first row that is an object; null where there is none. */
  layout: ColumnLayout | null;
  /** What the columns mean, for people. */
  meaning: string;
  rows: number;
  pairs: number;
  /** Rows that prefer neither response: dropped. */
  ties: number;
  /** Rows whose two texts begin differently, so that they answer no common prompt: dropped. */
  withoutCommonPrefix: number;
  /** Malformed rows passed over. */
  invalid: number;
  /** Rows by their column `split`, of those that have one. */
  splits: Record<string, number>;
  /** Rows of other splits than the one asked for: dropped. */
  ofOtherSplits: number;
}

/** How pairs are read. */
export interface ReadPairsOptions {
  /** Pass over malformed rows and list them, instead of stopping at the first; default false. */
  skipInvalid?: boolean;
  /** Columns to take fields of a pair from, in place of those that the layout would. */
  columns?: Columns;
  /** Keep rows with this in their column `split`; default all rows. */
  split?: string;
}

/**
 * Preference pairs of files, in order: JSON lines, gzip or not, or Parquet; `-` is stdin. The layout of the columns is
 * recognised from each file's first row.
 *
 * @returns the pairs and where each was read, the malformed rows passed over, and what was found in each file
 * @throws DomainError invalid_argument with file, line and reason, or where no pair is left; not_found
 */
export async function readPairs(
  paths: string[],
  options: ReadPairsOptions = {},
): Promise<Found & { files: PairFile[] }> {
  const found: Found = { pairs: [], places: [], invalid: [] };
  const files: PairFile[] = [];
  for (const path of paths) files.push(await readFile(path, options, found));
  if (found.pairs.length === 0) {
    const sum = (key: 'rows' | 'ties' | 'withoutCommonPrefix' | 'ofOtherSplits') =>
      files.reduce((total, file) => total + file[key], 0);
    const [first] = found.invalid;
    throw invalid(
      `${paths.map(inputName).join(', ')}: no preference pair found in ${sum('rows')} rows (${found.invalid.length} malformed rows, ` +
        `${sum('ties')} ties, ${sum('withoutCommonPrefix')} without a common prefix, ${sum('ofOtherSplits')} of other splits)` +
        (first ? `; the first malformed one, ${first.file} line ${first.line}: ${first.reason}` : ''),
    );
  }
  return { ...found, files };
}

/** Where in a file a row is. */
type Place = Pick<Row, 'number' | 'place'>;

interface Found {
  pairs: PreferencePair[];
  /** Of each pair; of one from two rows the second. */
  places: RowPlace[];
  invalid: InvalidRow[];
}

async function readFile(path: string, options: ReadPairsOptions, found: Found): Promise<PairFile> {
  const name = inputName(path);
  const file: PairFile = {
    ...{ file: name, layout: null, meaning: 'no rows', rows: 0, pairs: 0, ties: 0, withoutCommonPrefix: 0, invalid: 0 },
    ...{ splits: {}, ofOtherSplits: 0 },
  };
  let read: LayoutReader | undefined;
  let half: Place | undefined;

  /** What a row says; undefined where it is of another split. */
  const contentOf = (value: unknown, problem?: string): RowContent | undefined => {
    if (problem !== undefined) throw invalid(problem);
    const given = parseRow(value);
    if (!isOfSplit(given, file, options.split)) return undefined;
    const row = options.columns ? withColumns(given, options.columns) : given;
    if (!read) {
      const { layout, meaning, reader } = sniffLayout(row);
      Object.assign(file, { layout, meaning });
      read = reader();
    }
    return read(row);
  };
  const refuse = ({ number, place }: Place, { kind, message }: DomainError) => {
    if (!options.skipInvalid) throw new DomainError(kind, `${name} ${place}: ${message}`);
    file.invalid += 1;
    found.invalid.push({ file: name, line: number, reason: message });
  };
  const attempt = <Result>(place: Place, body: () => Result): Result | undefined => {
    try {
      return body();
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      refuse(place, error);
      return undefined;
    }
  };

  for await (const { value, problem, ...place } of readRows(path)) {
    file.rows += 1;
    const content = attempt(place, () => contentOf(value, problem));
    if (content === undefined) continue;
    if (half && content === 'half') refuse(half, unpaired);
    half = content === 'half' ? place : undefined;
    if (content === 'tie') file.ties += 1;
    else if (content === 'no common prefix') file.withoutCommonPrefix += 1;
    else if (content !== 'half') {
      const pairs = attempt(place, () => content.map(parsePair)) ?? [];
      file.pairs += pairs.length;
      found.pairs.push(...pairs);
      found.places.push(...pairs.map(() => ({ file: name, line: place.number })));
    }
  }
  if (half) refuse(half, unpaired);
  return file;
}

const unpaired = invalid('no second row with its prompt follows');

function isOfSplit(row: Record<string, unknown>, file: PairFile, wanted: string | undefined): boolean {
  const { split } = row;
  if (typeof split === 'string') file.splits[split] = (file.splits[split] ?? 0) + 1;
  if (wanted === undefined || split === wanted) return true;
  if (typeof split !== 'string') throw invalid(`it has no column split, of which ${wanted} is asked for`);
  file.ofOtherSplits += 1;
  return false;
}
