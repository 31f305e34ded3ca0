import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { digestFile } from '@surefoot/files';
import { loadTokenizer, tokenizerFileNames, type Tokenizer } from '@surefoot/language-model';

/**
 * The tokenizer of several model folders. Building one of 256,000 tokens takes a second, so of folders whose files are the same
 * bytes one is read.
 *
 * @param folders at least one
 * @throws DomainError failed_precondition naming the folder that has another; as `loadTokenizer`
 */
export async function sharedTokenizer(folders: string[]): Promise<Tokenizer> {
  const copies = await Promise.all(folders.map(filesOf));
  const distinct = folders.filter((_, i) => copies.indexOf(copies[i]!) === i);
  const [first, ...others] = await Promise.all(distinct.map(loadTokenizer));
  const different = others.findIndex(({ digest }) => digest !== first!.digest);
  if (different >= 0)
    throw new DomainError('failed_precondition', `${distinct[different + 1]}: not the tokenizer of ${folders[0]}`);
  return first!;
}

/** Names and digests of a folder's tokenizer files. */
async function filesOf(folder: string): Promise<string> {
  const names = tokenizerFileNames.filter((name) => existsSync(join(folder, name)));
  return JSON.stringify(await Promise.all(names.map(async (name) => [name, await digestFile(join(folder, name))])));
}
