import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { DomainError } from '@surefoot/errors';
import {
  heldOutReport,
  longerWins,
  type Accuracy,
  type HeldOutReport,
  type PreferencePair,
} from '@surefoot/preference';
import { backendIdentity, currentBackend } from '@surefoot/tensor';
import { encodePairs, type EncodedPairs } from './encode-pairs';
import { readEnsembleFile, writeEnsembleFile, type MemberEntry } from './ensemble-file';
import { evaluateMember, meanScores, scoresOfTexts, type MemberEvaluation, type PairScores } from './evaluate-member';
import type { MemberFit } from './ensemble-kind';
import { memberCorrelation } from './ensemble-statistics';
import { kindsOfEnsemble } from './ensemble-kinds';
import { fitRecord, noteForm, openFitFolder, resolveFit, type FitOptions } from './fit-settings';
import type { OnStep } from './fit-to-pairs';

/** One member after fitting. */
export interface MemberReport extends MemberEntry {
  /** On the pairs it was fitted to. */
  training: HeldOutReport;
  /** On `evalPairs`; null without any. */
  heldOut: HeldOutReport | null;
}

/** What a fit came to. */
export interface FitReport {
  members: MemberReport[];
  /** Of the mean of the members' raw scores, on `evalPairs`. */
  heldOutMean: HeldOutReport | null;
  /** Of the rule "the longer answer wins", on the same. */
  longerWins: Accuracy | null;
  /**
   * Mean correlation between two members' raw scores of the texts they were fitted to; null for one member. Near 1 the
   * members are one, and their variance says nothing.
   */
  memberCorrelation: number | null;
  /** Pairs passed over because they cannot be encoded: a response is too long, a word unknown. */
  skipped: { pairs: EncodedPairs['skipped']; evalPairs: EncodedPairs['skipped'] };
  /**
   * True where members joined an ensemble that had been calibrated from reference samples: all are on the scale of the
   * pairs again, because members on different scales say nothing together.
   */
  calibrationLost: boolean;
}

/** A fit in one thread: several threads may open the same one and fit different members. */
export interface EnsembleFit {
  /**
   * Makes `out` the folder of this fit, or finds that it is; one thread does so before any fits a member.
   *
   * @returns which of the K members are not there yet
   * @throws DomainError already_exists, failed_precondition about `out`
   */
  begin(): Promise<number[]>;
  /** Fits a member where it is not there yet, and scores the pairs with it. @throws DomainError diverged naming the member */
  fitMember(k: number): Promise<MemberEvaluation>;
  /** Writes `ensemble.json`. @param evaluations of all K members, in their order */
  finish(evaluations: MemberEvaluation[]): Promise<FitReport>;
  dispose(): void;
}

/**
 * Fits K reward models that differ in nothing but their seed, one after the other, and publishes them as an ensemble folder.
 *
 * Each member appears whole or not at all; called again with the same options, a fit that was stopped goes on with the members
 * that are missing and ends with the same bytes, and one asked for more members adds them. `ensemble.json` comes last; its means and scales are over the texts of the pairs.
 *
 * @throws DomainError invalid_argument listing what is wrong with the options, or where no pair can be used; already_exists,
 *   failed_precondition about `out`; diverged
 */
export async function fitEnsemble(options: FitOptions): Promise<FitReport> {
  const fit = await openFit(options);
  try {
    await fit.begin();
    const evaluations: MemberEvaluation[] = [];
    for (let k = 0; k < options.members; k += 1) evaluations.push(await fit.fitMember(k));
    return await fit.finish(evaluations);
  } finally {
    fit.dispose();
  }
}

/**
 * Opens a fit of {@link fitEnsemble} for this thread: what members start from, and the pairs as token ids. Writes nothing.
 *
 * A member's bytes depend on its seed and not on who else is fitted where, so threads give those of one after the other.
 *
 * @throws DomainError invalid_argument listing what is wrong with the options, or where no pair can be used
 */
export async function openFit(options: FitOptions): Promise<EnsembleFit> {
  const resolved = resolveFit(options);
  const { kind = 'full', out, name, created, evalPairs = [], members: count, onProgress } = options;
  const fit = await kindsOfEnsemble[kind].openFit(options, resolved);
  try {
    const fitted = encodable(fit, options.pairs, 'pairs', options.firstPlaces?.pairs);
    const held = encodable(fit, evalPairs, 'held-out pairs', options.firstPlaces?.evalPairs);
    const places = Array.from({ length: count }, (_, k) => ({ path: `member-${k}`, seed: 1000 * options.seed + k }));
    const isThere = ({ path }: { path: string }) => existsSync(join(out, path));
    const progressOf =
      (member: number | 'trunk'): OnStep =>
      (step, steps, loss) =>
        onProgress?.({ member, members: count, step, steps, loss });
    return {
      async begin() {
        await openFitFolder(out, fitRecord(options, resolved, sourcesOf(fit)));
        await named('the trunk', () => fit.prepare(fitted.encoded, progressOf('trunk')));
        await noteForm(out, await fit.form());
        return places.flatMap((place, k) => (isThere(place) ? [] : [k]));
      },
      async fitMember(k) {
        const place = places[k]!;
        if (!isThere(place)) await named(`reward member ${k}`, () => fit.fit(place, fitted.encoded, progressOf(k)));
        return evaluateMember(fit, place, fitted.encoded, held.encoded);
      },
      async finish(evaluations) {
        const members = evaluations.map(({ entry }) => entry);
        const before = existsSync(join(out, 'ensemble.json')) ? (await readEnsembleFile(out)).members : [];
        // One that is whole already may have been calibrated since.
        const grown = before.length < members.length;
        if (grown) await writeEnsembleFile(out, { format: 1, name, kind, ...(await fit.base()), members, created });
        const calibrationLost = grown && !isDeepStrictEqual(before, members.slice(0, before.length));
        const skipped = { pairs: fitted.skipped, evalPairs: held.skipped };
        return { ...fitReport(evaluations, evalPairs, skipped), calibrationLost };
      },
      dispose: () => fit.dispose(),
    };
  } catch (error) {
    fit.dispose();
    throw error;
  }
}

/** Says in the error of a fit that diverged what was being fitted. */
async function named(what: string, fit: () => Promise<void>): Promise<void> {
  try {
    await fit();
  } catch (error) {
    if (error instanceof DomainError && error.kind === 'diverged')
      throw new DomainError('diverged', `${what}: ${error.message}`, { cause: error });
    throw error;
  }
}

function encodable(
  { tokenizer, maxTokens }: MemberFit,
  pairs: PreferencePair[],
  what: string,
  firstPlace?: string,
): EncodedPairs {
  const result = encodePairs(tokenizer, pairs, maxTokens);
  const [first] = result.skipped;
  if (first && result.encoded.length === 0)
    throw new DomainError(
      'invalid_argument',
      `none of ${pairs.length} ${what} can be used; the first${firstPlace === undefined ? '' : `, ${firstPlace}`}: ${first.reason}`,
    );
  return result;
}

function sourcesOf({ tokenizer, baseDigest }: MemberFit): Record<string, unknown> {
  return { backend: backendIdentity(currentBackend()), tokenizer: tokenizer.digest, base: baseDigest };
}

function fitReport(
  evaluations: MemberEvaluation[],
  evalPairs: PreferencePair[],
  skipped: FitReport['skipped'],
): Omit<FitReport, 'calibrationLost'> {
  const skippedEval = new Set(skipped.evalPairs.map(({ index }) => index));
  const used = evalPairs.filter((_, i) => !skippedEval.has(i));
  const reportOf = ({ chosen, rejected }: PairScores) => (used.length > 0 ? heldOutReport(chosen, rejected) : null);
  return {
    members: evaluations.map(({ entry, training, heldOutScores }) => ({
      ...entry,
      training,
      heldOut: reportOf(heldOutScores),
    })),
    heldOutMean: reportOf(meanScores(evaluations.map(({ heldOutScores }) => heldOutScores))),
    longerWins: used.length > 0 ? longerWins(used) : null,
    memberCorrelation: memberCorrelation(scoresOfTexts(evaluations.map(({ trainingScores }) => trainingScores))),
    skipped,
  };
}
