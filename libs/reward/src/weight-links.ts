import { constants } from 'node:fs';
import { copyFile, link, realpath } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { digestText, listFolder, writeFileAtomically } from '@surefoot/files';
import { digestWeights, weightFiles } from '@surefoot/language-model';
import { openSafetensors } from '@surefoot/tensor';

/** Where a member's own weights stand among files that it shares with others. */
export interface OwnWeights {
  /** Its name in the folder. */
  file: string;
  /** Of the tensors in it. */
  names: string[];
  /** Of their data. */
  bytes: number;
}

/** sha256 of each weight file of a model folder, in the order of their names. @throws DomainError as `weightFiles` */
export async function weightDigests(folder: string): Promise<string[]> {
  return Promise.all((await weightFiles(folder)).map((file) => digestWeights([file])));
}

/** One digest of all of them, as a loaded model has it. */
export function jointDigest(digests: string[]): string {
  return digests.length === 1 ? digests[0]! : digestText(digests.join(''));
}

/** Gives a file another name on the same bytes; where the file system cannot, a copy, which shares its bytes where it can. */
export async function linkOrCopy(from: string, to: string): Promise<void> {
  // The file itself: a link to a symbolic link would lead elsewhere once the folder is moved.
  const file = await realpath(from);
  await link(file, to).catch(() => copyFile(file, to, constants.COPYFILE_FICLONE));
}

/** Fills a folder with a model as it is: its weight files by link, copies of the rest. */
export async function linkModel(from: string, folder: string): Promise<void> {
  for (const file of await weightFiles(from)) await linkOrCopy(file, join(folder, basename(file)));
  // Configuration and tokenizer; the folder may hold the weights in other formats too.
  const others = (await listFolder(from)).filter((name) => /^[^.].*\.(json|jinja|txt|model)$/.test(name));
  for (const name of others) await copyFile(join(from, name), join(folder, name));
}

/**
 * Puts weights that members share beside a member's own: their files by link, and an index that names both, so that the folder
 * is a model like any other.
 *
 * @param folder holds the file `own.file` already; others are added as `model-0000i-of-0000n.safetensors`
 */
export async function shareWeights(sharedFolder: string, folder: string, own: OwnWeights): Promise<void> {
  const map: Record<string, string> = {};
  let total = own.bytes;
  const shared = await weightFiles(sharedFolder);
  for (const [i, from] of shared.entries()) {
    const file = shardName(i, shared.length + 1);
    await linkOrCopy(from, join(folder, file));
    const { names, bytes } = await contents(from);
    for (const name of names) map[name] = file;
    total += bytes;
  }
  for (const name of own.names) map[name] = own.file;
  const index = { metadata: { total_size: total }, weight_map: map };
  await writeFileAtomically(join(folder, 'model.safetensors.index.json'), `${JSON.stringify(index, null, 2)}\n`);
}

/** The last shard of `count`. */
export async function lastShard(sharedFolder: string): Promise<string> {
  const { length } = await weightFiles(sharedFolder);
  return shardName(length, length + 1);
}

function shardName(index: number, count: number): string {
  const digits = (n: number) => String(n).padStart(5, '0');
  return `model-${digits(index + 1)}-of-${digits(count)}.safetensors`;
}

async function contents(path: string): Promise<{ names: string[]; bytes: number }> {
  const file = await openSafetensors(path);
  try {
    const tensors = [...file.tensors.values()];
    return { names: tensors.map(({ name }) => name), bytes: tensors.reduce((sum, { bytes }) => sum + bytes, 0) };
  } finally {
    await file.close();
  }
}
