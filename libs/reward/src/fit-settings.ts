import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { DomainError } from '@surefoot/errors';
import { digestText, listFolder, makeFolder, readJson, writeFileAtomically } from '@surefoot/files';
import type { AdapterSettings, HeldWeights, WeightForm } from '@surefoot/language-model';
import type { PreferencePair } from '@surefoot/preference';
import type { EnsembleKind } from './ensemble-file';
import type { MemberTraining } from './fit-to-pairs';
import { judgeSeed } from './judge-seed';
import type { OnWarning } from './load-frozen';
import type { StartingPointOptions } from './starting-point';

/** What members are fitted to, from what, and how. */
export interface FitOptions extends Partial<MemberTraining>, StartingPointOptions {
  pairs: PreferencePair[];
  /** Default `full`. */
  kind?: EnsembleKind;
  /** Of kind `heads`. */
  heads?: Partial<HeadsTraining>;
  /** Of kind `adapters`; default rank 8 on all linear modules. */
  adapters?: Partial<AdapterSettings>;
  /** How weights that are not trained are held; default `auto`. */
  weights?: WeightForm;
  /** Told what a user should know of how they are held. */
  onWarning?: OnWarning;
  /** K, 1..1000. */
  members: number;
  /** Member k has seed `1000 * seed + k`, so that ensembles of different seeds share none. */
  seed: number;
  /** Folder of the ensemble; one that holds a part of the same fit is finished. */
  out: string;
  name: string;
  /** When, ISO 8601, for `ensemble.json`; decides nothing else. */
  created?: string;
  /** Pairs that the members are not fitted to, for the report. */
  evalPairs?: PreferencePair[];
  /** Where the first pair and the first held-out pair were read, for the error where none can be used. */
  firstPlaces?: { pairs?: string; evalPairs?: string };
  onProgress?: (progress: FitProgress) => void;
}

/** How heads and their trunk are fitted, beside what holds for members of every kind. */
export interface HeadsTraining {
  /** The trunk is fitted to the pairs before it is frozen, under a head that is then thrown away; null = it stays as it is. */
  tuneTrunk: Pick<MemberTraining, 'epochs' | 'learningRate'> | null;
  /** Weight of a head's squared distance from where it began, >= 0. */
  pull: number;
}

/** Every hyper-parameter of a fit. */
export interface ResolvedFit {
  training: MemberTraining;
  heads: HeadsTraining;
  adapters: AdapterSettings;
}

/** Called after each step of each member, and of what comes before the members. */
export interface FitProgress {
  /** Counted from 0; `trunk` while what heads share is tuned, `texts` while texts pass through it. */
  member: number | 'trunk' | 'texts';
  members: number;
  /** Counted from 0. */
  step: number;
  /** Of `texts`, passes: one holds several texts. */
  steps: number;
  /** Mean over the pairs of the step, nats; null for `texts`. */
  loss: number | null;
}

const trainingDefaults: MemberTraining = {
  epochs: 6,
  batchSize: 32,
  learningRate: 1e-3,
  warmupSteps: 10,
  finalFraction: 0.1,
  weightDecay: 0.01,
  centring: 0.01,
  maxGradNorm: 0,
  bootstrap: false,
  tokenBudget: 8192,
};

/**
 * Fills and checks the hyper-parameters of a fit.
 *
 * @throws DomainError invalid_argument listing all that are out of range
 */
export function resolveFit(options: FitOptions): ResolvedFit {
  const training = Object.fromEntries(
    Object.entries(trainingDefaults).map(([name, value]) => [name, options[name as keyof MemberTraining] ?? value]),
  ) as unknown as MemberTraining;
  const problems: string[] = [];
  const check = (
    name: keyof MemberTraining | 'members' | 'seed' | 'pull' | 'epochs of the trunk' | 'learningRate of the trunk',
    value: number,
    low: number,
    high: number,
    whole: boolean,
  ) => {
    if (!(value >= low && value <= high) || (whole && !Number.isSafeInteger(value)))
      problems.push(`${name} is ${value}; it must be a ${whole ? 'whole ' : ''}number from ${low} to ${high}`);
  };
  check('members', options.members, 1, 1000, true);
  check('seed', options.seed, 0, judgeSeed, true);
  check('epochs', training.epochs, 1, 1e6, true);
  check('batchSize', training.batchSize, 1, 1e6, true);
  check('learningRate', training.learningRate, 1e-12, 10, false);
  check('warmupSteps', training.warmupSteps, 0, 1e9, true);
  check('finalFraction', training.finalFraction, 0, 1, false);
  check('weightDecay', training.weightDecay, 0, 10, false);
  check('centring', training.centring, 0, 100, false);
  check('maxGradNorm', training.maxGradNorm, 0, 1e9, false);
  check('tokenBudget', training.tokenBudget, 1, 2 ** 24, true);
  const heads = { tuneTrunk: null, pull: 0, ...options.heads };
  check('pull', heads.pull, 0, 1e6, false);
  if (heads.tuneTrunk) {
    check('epochs of the trunk', heads.tuneTrunk.epochs, 1, 1e6, true);
    check('learningRate of the trunk', heads.tuneTrunk.learningRate, 1e-12, 10, false);
  }
  if (problems.length > 0) throw new DomainError('invalid_argument', problems.join('; '));
  return { training, heads, adapters: { r: 8, ...options.adapters } };
}

/**
 * Everything that decides the bytes of the members, so that a fit is finished only by the settings that began it.
 *
 * @param sources digests of what the members start from, and the backend
 */
export function fitRecord(
  options: FitOptions,
  { training, heads, adapters }: ResolvedFit,
  sources: Record<string, unknown>,
): Record<string, unknown> {
  const { kind = 'full' } = options;
  const record = {
    format: 1,
    name: options.name,
    members: options.members,
    seed: options.seed,
    ...sources,
    pairs: digestText(JSON.stringify(options.pairs)),
    config: options.config ?? null,
    initialisation: options.initialisation ?? null,
    training,
    ...(kind !== 'full' && { kind }),
    ...(kind === 'heads' && { heads }),
    ...(kind === 'adapters' && { adapters }),
  };
  // As it will be read back: without fields that are undefined.
  return JSON.parse(JSON.stringify(record)) as Record<string, unknown>;
}

/**
 * Makes `out` the folder of a fit: a new one, or one that the same settings began, with as many members or fewer.
 *
 * @throws DomainError already_exists where it holds something else; failed_precondition where other settings began the fit
 */
export async function openFitFolder(out: string, record: Record<string, unknown>): Promise<void> {
  const path = join(out, 'fit.json');
  if (existsSync(path)) {
    const begun = withIdentity((await readJson(path)) as Record<string, unknown>);
    // More members leave those that are there as they are; fewer would leave some over.
    const grows = Number(record['members']) > Number(begun['members']);
    // A kind that the record does not name is `full`.
    const different = [...new Set([...Object.keys(record), 'kind'])].filter(
      (field) => !isDeepStrictEqual(record[field], begun[field]) && !(field === 'members' && grows),
    );
    if (different.length > 0)
      throw new DomainError(
        'failed_precondition',
        `${out} holds a fit with other settings (${different.join(', ')}): choose another folder or remove it`,
      );
    await removeUnfinished(out);
    if (grows) await writeRecord(path, { ...begun, members: record['members'] });
    return;
  }
  await removeUnfinished(out);
  // Whoever fits may keep a file of its process there.
  if ((await listFolder(out)).some((name) => !name.endsWith('.pid')))
    throw new DomainError('already_exists', `${out} exists and is not empty: choose another folder or remove it`);
  await makeFolder(out);
  await writeRecord(path, record);
}

/**
 * Notes in the record how the weights are held that members do not train, which is known when the trunk is there. A record that
 * says nothing of it is of float32.
 *
 * @throws DomainError failed_precondition where members were fitted on weights that were held otherwise
 */
export async function noteForm(out: string, form: HeldWeights['form']): Promise<void> {
  const path = join(out, 'fit.json');
  const record = (await readJson(path)) as Record<string, unknown>;
  const { weights: begun = 'f32' } = record;
  if (form === begun) return;
  if ((await listFolder(out)).some((name) => /^member-\d+$/.test(name)))
    throw new DomainError(
      'failed_precondition',
      `${out} holds members fitted on weights held as ${String(begun)}, not as ${form}: go on with weights ${String(begun)}, choose another folder or remove it`,
    );
  await writeRecord(path, { ...record, weights: form === 'f32' ? undefined : form });
}

/** What a killed process was writing goes; only what is whole is kept. */
async function removeUnfinished(out: string): Promise<void> {
  const unfinished = /^\.(member-\d+|trunk|fit\.json|ensemble\.json)\..*\.part$/;
  for (const name of await listFolder(out))
    if (unfinished.test(name)) await rm(join(out, name), { recursive: true, force: true });
}

/** A record of before other backends than these two were known has name and kernels in fields of their own. */
function withIdentity(record: Record<string, unknown>): Record<string, unknown> {
  const { backend, kernelBuild } = record;
  const isOld = (backend === 'wasm' || backend === 'cpu') && kernelBuild !== undefined;
  return isOld ? { ...record, backend: `${backend} ${String(kernelBuild)}` } : record;
}

function writeRecord(path: string, record: Record<string, unknown>): Promise<void> {
  return writeFileAtomically(path, `${JSON.stringify(record, null, 2)}\n`);
}
