import { DomainError } from '@surefoot/errors';
import type { WeightForm } from '@surefoot/language-model';
import type { RolloutRow } from '@surefoot/preference';
import { encodeSequence } from './encode-pairs';
import { disposeEnsemble, loadEnsemble } from './ensemble';
import { readEnsembleFile, writeEnsembleFile } from './ensemble-file';
import { calibrationOf, type Calibration } from './ensemble-statistics';
import type { OnWarning } from './load-frozen';
import { scoreSequences } from './score-sequences';

/**
 * Sets each member's mean and scale to those of its scores on reference samples, and rewrites `ensemble.json` at once.
 *
 * @param rollouts reference samples, at least two
 * @returns [K] what was written
 * @throws DomainError invalid_argument naming the rollout that cannot be scored; failed_precondition where scores do not vary
 */
export async function calibrateEnsemble(
  folder: string,
  rollouts: RolloutRow[],
  options: { weights?: WeightForm; onWarning?: OnWarning } = {},
): Promise<Calibration[]> {
  const file = await readEnsembleFile(folder);
  const ensemble = await loadEnsemble(folder, options);
  try {
    const sequences = rollouts.map((rollout) => {
      try {
        return encodeSequence(ensemble.tokenizer, rollout, ensemble.maxTokens);
      } catch (error) {
        if (!(error instanceof DomainError)) throw error;
        throw new DomainError(error.kind, `rollout ${rollout.id}: ${error.message}`, { cause: error });
      }
    });
    const calibration = calibrationOf(await scoreSequences(ensemble, sequences));
    const members = file.members.map((member, k) => ({ ...member, ...(calibration[k] as Calibration) }));
    await writeEnsembleFile(folder, { ...file, members });
    return calibration;
  } finally {
    disposeEnsemble(ensemble);
  }
}
