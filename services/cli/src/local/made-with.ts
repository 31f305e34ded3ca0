import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { readJson, writeFileAtomically } from '@surefoot/files';
import { toJson } from '../terminal';

/**
 * What a folder with the built-in task is made with: the given values over those of before over the defaults. Notes it in the
 * folder; before there is a task, nothing depends on what was chosen.
 *
 * @param options.file    holds the note
 * @param options.defaults a value for every name
 * @param options.shown   what messages call a name
 * @throws DomainError failed_precondition naming what differs from before, or where the note has another form
 */
export async function madeWith<Settings extends object>(
  folder: string,
  given: Partial<Settings>,
  { file, defaults, shown = (name) => name }: { file: string; defaults: Settings; shown?: (name: string) => string },
): Promise<Settings> {
  const path = join(folder, file);
  const before =
    existsSync(path) && existsSync(join(folder, 'task')) ? asNote(await readJson(path), defaults) : defaults;
  if (!before)
    throw new DomainError('failed_precondition', `${path} is damaged, or of another release: choose another folder`);
  const chosen = { ...before, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) };
  const text = (settings: Settings, name: string) => {
    const value = settings[name as keyof Settings];
    return typeof value === 'string' ? value : toJson(value);
  };
  const differing = Object.keys(chosen).filter((name) => text(chosen, name) !== text(before, name));
  if (before !== defaults && differing.length > 0)
    throw new DomainError(
      'failed_precondition',
      `${folder} was made with ${differing.map((name) => `${shown(name)} ${text(before, name)}, not ${text(chosen, name)}`).join('; ')}: keep to that, or choose another folder`,
    );
  if (before === defaults) await writeFileAtomically(path, `${toJson(chosen, 2)}\n`);
  return chosen;
}

/** A note with a value of the right kind for every name, and no others; undefined for anything else. */
function asNote<Settings extends object>(content: unknown, defaults: Settings): Settings | undefined {
  const kinds = (values: unknown) =>
    Object.entries(values ?? {})
      .map(([name, value]) => `${name} ${Array.isArray(value) ? 'list' : typeof value}`)
      .sort()
      .join();
  return kinds(content) === kinds(defaults) ? (content as Settings) : undefined;
}
