import { DomainError } from '@surefoot/errors';
import { invalid } from './prompt';

/** Columns that take the place of the usual ones, by field of a pair. */
export type Columns = Partial<Record<Field, string>>;

const fields = ['id', 'prompt', 'chosen', 'rejected', 'margin'] as const;
type Field = (typeof fields)[number];

/** What a pair is read from besides; other columns might be taken for another layout. */
const kept = ['chosen_truncated', 'rejected_truncated', 'score_chosen', 'score_rejected', 'split'];

/**
 * Reads `prompt=question,chosen=best,rejected=worst`: fields of a pair, and the columns to take them from.
 *
 * @throws DomainError invalid_argument
 */
export function parseColumns(text: string): Columns {
  const columns: Columns = {};
  for (const part of text.split(',')) {
    const [field, ...rest] = part.split('=');
    const column = rest.join('=').trim();
    const known = fields.find((name) => name === field?.trim());
    if (!known || column === '')
      throw new DomainError(
        'invalid_argument',
        `columns "${part}" is not FIELD=COLUMN with a field of ${fields.join(', ')}`,
      );
    if (columns[known] !== undefined) throw new DomainError('invalid_argument', `columns name ${known} twice`);
    columns[known] = column;
  }
  return columns;
}

/** A row with the columns asked for under the names of a pair's fields. @throws DomainError where it lacks one */
export function withColumns(row: Record<string, unknown>, columns: Columns): Record<string, unknown> {
  const names = [...fields, ...kept].filter((name) => Object.hasOwn(row, name));
  const renamed = Object.fromEntries(names.map((name) => [name, row[name]]));
  for (const [field, column] of Object.entries(columns)) {
    if (!Object.hasOwn(row, column))
      throw invalid(`it has no column ${column} for ${field}; it has ${Object.keys(row).join(', ') || 'none'}`);
    renamed[field] = row[column];
  }
  return renamed;
}
