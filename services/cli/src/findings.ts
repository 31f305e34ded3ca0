import { join } from 'node:path';
import { makeFolder, writeFileAtomically } from '@surefoot/files';
import { toJson } from './terminal';

/**
 * Writes what a command has found into its folder: figures and pages, then the document, so that where it stands nothing is missing.
 *
 * @param file   name of the document
 * @param beside names and texts of the others
 * @returns the paths, the document's first
 */
export async function writeFindings(
  folder: string,
  file: string,
  document: unknown,
  beside: readonly { name: string; text: string }[],
): Promise<string[]> {
  await makeFolder(folder);
  for (const { name, text } of beside) await writeFileAtomically(join(folder, name), text);
  await writeFileAtomically(join(folder, file), `${toJson(document, 2)}\n`);
  return [file, ...beside.map(({ name }) => name)].map((name) => join(folder, name));
}
