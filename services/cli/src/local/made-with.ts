import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { readJson, writeFileAtomically } from '@surefoot/files';
import { toJson } from '../terminal';

/** Where the note of a folder's settings is, and what it says. */
export interface Note<Settings> {
  file: string;
  /** A value for every name. */
  defaults: Settings;
  /** What messages call a name. */
  shown?: (name: string) => string;
}

/**
 * What a folder with the built-in task is made with: the given values over those of before over the defaults. Notes it in the
 * folder; before there is a task, nothing depends on what was chosen.
 *
 * @throws DomainError failed_precondition naming what differs from before, or where the note has another form
 */
export async function madeWith<Settings extends object>(
  folder: string,
  given: Partial<Settings>,
  note: Note<Settings>,
): Promise<Settings> {
  const chosen = await keptTo(folder, given, note);
  if (!binds(folder, note.file)) await writeFileAtomically(join(folder, note.file), `${toJson(chosen, 2)}\n`);
  return chosen;
}

/** The same, but notes nothing. @throws as `madeWith` */
export async function keptTo<Settings extends object>(
  folder: string,
  given: Partial<Settings>,
  { file, defaults, shown = (name) => name }: Note<Settings>,
): Promise<Settings> {
  const path = join(folder, file);
  const stated = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  if (!binds(folder, file)) return { ...defaults, ...stated };
  const before = asNote(await readJson(path), defaults);
  if (!before)
    throw new DomainError('failed_precondition', `${path} is damaged, or of another release: choose another folder`);
  const chosen = { ...before, ...stated };
  const text = (settings: Settings, name: string) => {
    const value = settings[name as keyof Settings];
    return typeof value === 'string' ? value : toJson(value);
  };
  const differing = Object.keys(chosen).filter((name) => text(chosen, name) !== text(before, name));
  if (differing.length > 0)
    throw new DomainError(
      'failed_precondition',
      `${folder} was made with ${differing.map((name) => `${shown(name)} ${text(before, name)}, not ${text(chosen, name)}`).join('; ')}: keep to that, or choose another folder`,
    );
  return chosen;
}

const binds = (folder: string, file: string) => existsSync(join(folder, file)) && existsSync(join(folder, 'task'));

/** A note with a value of the right kind for every name, and no others; undefined for anything else. */
function asNote<Settings extends object>(content: unknown, defaults: Settings): Settings | undefined {
  const kinds = (values: unknown) =>
    Object.entries(values ?? {})
      .map(([name, value]) => `${name} ${Array.isArray(value) ? 'list' : typeof value}`)
      .sort()
      .join();
  return kinds(content) === kinds(defaults) ? (content as Settings) : undefined;
}
