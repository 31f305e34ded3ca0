import { DomainError } from '@surefoot/errors';

/** Reads the fields of one JSON object; every method throws invalid_argument naming the object's place and the field. */
export interface FieldReader {
  /** A string with at least one character. */
  text(field: string): string;
  /** A finite number. */
  number(field: string): number;
  /** A whole number in 0 … 2^53 - 1. */
  count(field: string): number;
  oneOf<Value extends string>(field: string, values: readonly Value[]): Value;
  object(field: string): FieldReader;
  numbers(field: string): number[];
  /** Strings, also empty ones. */
  texts(field: string): string[];
  /** The field as `read` reads it; undefined where it is missing or null, the way JSON says "no number". */
  optional<Value>(read: (field: string) => Value, field: string): Value | undefined;
}

/**
 * @param value must be an object
 * @param where place of the object, such as `runs.jsonl line 3`
 * @param path of the object inside that place, such as `final`
 */
export function createFieldReader(value: unknown, where: string, path = ''): FieldReader {
  if (!isObject(value)) throw mistyped(where, path || 'the line', 'an object', value);
  const nameOf = (field: string) => (path ? `${path}.${field}` : field);
  const check = <Value>(field: string, expected: string, isRight: (got: unknown) => got is Value): Value => {
    const got = value[field];
    if (!isRight(got)) throw mistyped(where, nameOf(field), expected, got);
    return got;
  };
  return {
    text: (field) => check(field, 'a text', (got): got is string => typeof got === 'string' && got !== ''),
    number: (field) => check(field, 'a finite number', isFiniteNumber),
    count: (field) =>
      check(field, 'a whole number', (got): got is number => Number.isSafeInteger(got) && Number(got) >= 0),
    oneOf: <Choice extends string>(field: string, choices: readonly Choice[]) =>
      check(field, `one of ${choices.join(', ')}`, (got): got is Choice => choices.some((choice) => choice === got)),
    object: (field) => createFieldReader(value[field], where, nameOf(field)),
    numbers: (field) =>
      check(field, 'an array of finite numbers', (got) => Array.isArray(got) && got.every(isFiniteNumber)),
    texts: (field) =>
      check(
        field,
        'an array of texts',
        (got): got is string[] => Array.isArray(got) && got.every((each) => typeof each === 'string'),
      ),
    optional: (read, field) => (value[field] === undefined || value[field] === null ? undefined : read(field)),
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isFiniteNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function mistyped(where: string, name: string, expected: string, got: unknown): DomainError {
  const text = got === undefined ? 'but it is missing' : `not ${JSON.stringify(got)}`;
  const shown = text.length > 60 ? `${text.slice(0, 60)}…` : text;
  return new DomainError('invalid_argument', `${where}: ${name} must be ${expected}, ${shown}`);
}
