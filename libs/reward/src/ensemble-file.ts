import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { readJson, writeFileAtomically } from '@surefoot/files';
import type { Calibration } from './ensemble-statistics';

/** One member as `ensemble.json` lists it. */
export interface MemberEntry extends Calibration {
  /** Of its initialisation and data order. */
  seed: number;
  /** Its model folder, relative to the ensemble's. */
  path: string;
  /** Of what is its own: its weights, head or adapter; empty where it was not noted, so that it is not checked. */
  sha256: string;
}

/** `full`: every member is a model of its own; `heads`: heads on one trunk; `adapters`: low-rank adapters on one base. */
export type EnsembleKind = 'full' | 'heads' | 'adapters';

/** The content of `ensemble.json`. */
export interface EnsembleFile {
  format: 1;
  name: string;
  kind: EnsembleKind;
  /**
   * Of `full` the model folder that the members were fitted from, for the record; null where they were fitted from scratch. Of the
   * other kinds the folder of what the members share, relative to the ensemble's or absolute.
   */
  base: string | null;
  /** Of each weight file of what the members share, in the order of their names; not of `full`. */
  baseSha256?: string[];
  members: MemberEntry[];
  /** When it was fitted, ISO 8601; the only field that the options of a fit do not decide. */
  created?: string;
}

const fileName = 'ensemble.json';
/** A hundred times what has been found to help. */
const mostMembers = 1000;
const kinds: EnsembleKind[] = ['full', 'heads', 'adapters'];

/** @throws DomainError invalid_argument naming the field that is wrong; not_found */
export async function readEnsembleFile(folder: string): Promise<EnsembleFile> {
  const path = join(folder, fileName);
  const json = (await readJson(path)) as Partial<EnsembleFile> | null;
  const refuse = (what: string) => {
    throw new DomainError('invalid_argument', `${path}: ${what}`);
  };
  if (json?.format !== 1) refuse(`format must be 1`);
  if (!kinds.includes(json?.kind as EnsembleKind)) refuse(`kind must be "full", "heads" or "adapters"`);
  if (typeof json?.name !== 'string' || json.name === '') refuse('name must be text');
  if (!Array.isArray(json?.members) || json.members.length === 0 || json.members.length > mostMembers)
    refuse(`members must be a list with 1 to ${mostMembers} entries`);
  const file = json as EnsembleFile;
  if (file.kind !== 'full') {
    if (typeof file.base !== 'string' || file.base === '')
      refuse(`base must be the folder that the ${file.kind} share`);
    const digests: unknown = file.baseSha256 ?? [];
    if (!Array.isArray(digests) || !digests.every((digest) => isDigest(digest)))
      refuse('baseSha256 must be a list of 64 hexadecimal digits each');
  }
  file.members.forEach((member, k) => {
    const problem = memberProblem(member);
    if (problem) refuse(`members[${k}].${problem}`);
  });
  return file;
}

/** Writes `ensemble.json`, so that readers see the old one or the new one. */
export function writeEnsembleFile(folder: string, file: EnsembleFile): Promise<void> {
  return writeFileAtomically(join(folder, fileName), `${JSON.stringify(file, null, 2)}\n`);
}

function memberProblem(member: Partial<MemberEntry> | null): string | undefined {
  if (!Number.isSafeInteger(member?.seed)) return 'seed must be a whole number';
  // A folder is moved and served as a whole, so its members lie inside it.
  if (typeof member?.path !== 'string' || !/^[\w-][\w.-]*$/.test(member.path)) return 'path must be a folder name';
  if (member.sha256 !== '' && !isDigest(member.sha256)) return 'sha256 must be 64 hexadecimal digits, or empty';
  if (!Number.isFinite(member.mean)) return 'mean must be a number';
  if (!Number.isFinite(member.scale) || (member.scale as number) <= 0) return 'scale must be a positive number';
  return undefined;
}

function isDigest(value: unknown): boolean {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
}
