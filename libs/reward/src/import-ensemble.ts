import { existsSync } from 'node:fs';
import { copyFile, mkdir, realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { digestFile, listFolder, publishFolder } from '@surefoot/files';
import { assertVocabularyFits, isAdapterFolder, readAdapter, readModelConfig } from '@surefoot/language-model';
import { adapterBase, baseAsNoted } from './adapter-base';
import { adapterWeights } from './adapters-ensemble';
import { writeEnsembleFile, type EnsembleFile, type MemberEntry } from './ensemble-file';
import { headName } from './reward-head';
import { sharedTokenizer } from './shared-tokenizer';
import { jointDigest, linkModel, linkOrCopy, weightDigests } from './weight-links';

/** What is to become an ensemble. */
export interface ImportOptions {
  /** Reward-model folders, or adapter folders of reward models on one base. */
  members: string[];
  /** Folder of the adapters' base; default the one that adapter_config.json names. */
  base?: string;
  /** Folder of the ensemble; appears whole or not at all. */
  out: string;
  name: string;
  /** When, ISO 8601, for `ensemble.json`. */
  created?: string;
}

/**
 * Makes an ensemble of reward models that exist already. Weights are linked where the file system can, else copied; every member
 * has mean 0 and scale 1 until the ensemble is calibrated.
 *
 * @returns what `ensemble.json` says
 * @throws DomainError invalid_argument where models and adapters are mixed, a member is no reward model, or two are the same; failed_precondition
 *   where tokenizers or bases differ; already_exists where `out` holds something
 */
export async function importEnsemble(options: ImportOptions): Promise<EnsembleFile> {
  const { members, base, out, name, created } = options;
  const missing = members.find((folder) => !existsSync(folder));
  if (missing !== undefined) throw new DomainError('not_found', `${missing} does not exist`);
  const adapters = members.filter(isAdapterFolder);
  if (adapters.length === 0 && base !== undefined)
    throw new DomainError('invalid_argument', 'a base is for adapters; these members are models of their own');
  if (adapters.length > 0 && adapters.length < members.length) {
    const model = members.find((folder) => !isAdapterFolder(folder));
    throw new DomainError(
      'invalid_argument',
      `${adapters[0]} is an adapter and ${model} is none: an ensemble has members of one kind; merge the adapters first`,
    );
  }
  return publishFolder(out, async (folder) => {
    const imported =
      adapters.length > 0 ? await importAdapters(members, folder, { base, out }) : await importModels(members, folder);
    const { digests, ...shared } = imported;
    refuseTwins(members, digests);
    const entries = digests.map((sha256, k): MemberEntry => ({
      seed: k,
      path: `member-${k}`,
      sha256,
      mean: 0,
      scale: 1,
    }));
    const file: EnsembleFile = { format: 1, name, ...shared, members: entries, ...(created && { created }) };
    await writeEnsembleFile(folder, file);
    return file;
  });
}

function refuseTwins(members: string[], digests: string[]): void {
  const twin = digests.findIndex((digest, k) => digests.indexOf(digest) < k);
  if (twin < 0) return;
  const first = digests.indexOf(digests[twin]!);
  throw new DomainError(
    'invalid_argument',
    `${members[first]} and ${members[twin]} hold the same weights (sha256 ${digests[twin]!.slice(0, 12)}), so they never disagree: name each once`,
  );
}

type Imported = Pick<EnsembleFile, 'kind' | 'base' | 'baseSha256'> & { digests: string[] };

async function importModels(members: string[], folder: string): Promise<Imported> {
  for (const member of members)
    if ((await readModelConfig(member)).head !== 'reward')
      throw new DomainError(
        'invalid_argument',
        `${member} is a language model; members need a score head (…ForSequenceClassification with num_labels 1)`,
      );
  await assertOneTokenizer(members);
  const digests: string[] = [];
  for (const [k, member] of members.entries()) {
    const place = join(folder, `member-${k}`);
    await mkdir(place);
    await linkModel(member, place);
    digests.push(jointDigest(await weightDigests(place)));
  }
  return { kind: 'full', base: null, digests };
}

async function importAdapters(
  members: string[],
  folder: string,
  { base: given, out }: { base: string | undefined; out: string },
): Promise<Imported> {
  const bases = given === undefined ? await Promise.all(members.map(adapterBase)) : [given];
  const real = await Promise.all(bases.map((base) => realpath(base)));
  const other = real.findIndex((base) => base !== real[0]);
  if (other >= 0)
    throw new DomainError(
      'failed_precondition',
      `${members[other]} belongs to ${bases[other]}, ${members[0]} to ${bases[0]}: adapters of an ensemble share one base`,
    );
  const base = resolve(bases[0]!);
  const config = await readModelConfig(base);
  const ownTokenizers = members.filter((member) => existsSync(join(member, 'tokenizer.json')));
  await assertOneTokenizer([base, ...ownTokenizers]);
  const digests: string[] = [];
  for (const [k, member] of members.entries()) {
    const { adapted, tensors } = await readAdapter(member, config);
    if (adapted.head !== 'reward' || !tensors.has(headName))
      throw new DomainError(
        'invalid_argument',
        `${member} has no score head: members are adapters of reward models (task type SEQ_CLS)`,
      );
    const place = join(folder, `member-${k}`);
    await mkdir(place);
    await linkOrCopy(join(member, adapterWeights), join(place, adapterWeights));
    const others = (await listFolder(member)).filter((file) => /^[^.].*\.(json|jinja|txt|model)$/.test(file));
    for (const file of others) await copyFile(join(member, file), join(place, file));
    digests.push(await digestFile(join(place, adapterWeights)));
  }
  return { kind: 'adapters', base: baseAsNoted(out, base), baseSha256: await weightDigests(base), digests };
}

async function assertOneTokenizer(folders: string[]): Promise<void> {
  assertVocabularyFits(await sharedTokenizer(folders), await readModelConfig(folders[0]!));
}
