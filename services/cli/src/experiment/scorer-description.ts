import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { digestText, readJson } from '@surefoot/files';
import { JudgeClient } from '@surefoot/proto/surefoot/judge/v1/judge';
import { RewardEnsembleClient } from '@surefoot/proto/surefoot/reward/v1/reward_ensemble';
import { callUnary, createClient } from '@surefoot/service';
import { z } from 'zod';
import type { ScorerLocation } from './config';
import { digestOf } from './experiment-file';

/** What an experiment needs to know of a scorer before it starts. */
export interface ScorerDescription {
  /** K; 1 for a judge. */
  members: number;
  digest: string | null;
}

const ensembleFile = z.looseObject({ members: z.array(z.looseObject({ path: z.string() })).min(1) });
const call = { deadlineMs: 20_000, idempotent: true };

/** Describes an ensemble, from its folder or by asking the service. @throws DomainError not_found, unavailable, invalid_argument */
export async function describeEnsemble(location: ScorerLocation): Promise<ScorerDescription> {
  if ('folder' in location) return describeFolder(location.folder);
  const client = createClient(RewardEnsembleClient, firstAddress(location.address));
  try {
    const { model, members } = await callUnary(client, 'getEnsemble', {}, call);
    return { members: members.length, digest: model?.digest ?? null };
  } finally {
    client.close();
  }
}

/** Describes a judge, the same way. */
export async function describeJudge(location: ScorerLocation): Promise<ScorerDescription> {
  if ('folder' in location) return describeFolder(location.folder);
  const client = createClient(JudgeClient, firstAddress(location.address));
  try {
    const { model } = await callUnary(client, 'getJudge', {}, call);
    return { members: 1, digest: model?.digest ?? null };
  } finally {
    client.close();
  }
}

/** How many members an ensemble's folder lists; 1 of a plain reward model. @throws DomainError as describeEnsemble */
export async function countMembers(folder: string): Promise<number> {
  return (await readEnsembleFile(folder))?.members.length ?? 1;
}

/** Undefined where the folder is a plain reward model, which is an ensemble of one. */
async function readEnsembleFile(folder: string) {
  const path = join(folder, 'ensemble.json');
  if (!existsSync(path)) return undefined;
  const { success, data } = ensembleFile.safeParse(await readJson(path));
  if (!success) throw new DomainError('invalid_argument', `${path} lists no members: it is no ensemble`);
  return data;
}

async function describeFolder(folder: string): Promise<ScorerDescription> {
  const data = await readEnsembleFile(folder);
  if (!data) return { members: 1, digest: await digestOf(folder) };
  const members = await Promise.all(data.members.map((member) => digestOf(join(folder, member.path))));
  // Fitted again by the same options, it is the same ensemble.
  return { members: members.length, digest: digestText(JSON.stringify([{ ...data, created: undefined }, members])) };
}

function firstAddress(addresses: string): string {
  return addresses.split(',')[0] ?? addresses;
}
