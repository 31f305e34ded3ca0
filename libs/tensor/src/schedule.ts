import { checkCount, invalid } from './checks';

/**
 * A learning rate that rises linearly over the first steps and falls linearly from there.
 *
 * Step `warmupSteps - 1` (0 without warm-up) has `peak`, step `steps - 1` and later have `finalFraction * peak`.
 *
 * @param step from 0
 * @param options.steps         of the whole run, >= 1
 * @param options.warmupSteps   0..steps
 * @param options.peak          learning rate per step, >= 0
 * @param options.finalFraction [0, 1]
 * @throws DomainError invalid_argument naming the number that is out of range
 */
export function warmupThenDecay(
  step: number,
  options: { steps: number; warmupSteps: number; peak: number; finalFraction: number },
): number {
  const { steps, warmupSteps, peak, finalFraction } = options;
  checkCount('learning-rate schedule: step', step, 0);
  checkCount('learning-rate schedule: steps', steps);
  checkCount('learning-rate schedule: warmupSteps', warmupSteps, 0);
  if (warmupSteps > steps) throw invalid(`learning-rate schedule: ${warmupSteps} warm-up steps of ${steps}`);
  if (!(peak >= 0 && peak < Infinity)) throw invalid(`learning-rate schedule: peak is ${peak}, needs a number >= 0`);
  if (!(finalFraction >= 0 && finalFraction <= 1))
    throw invalid(`learning-rate schedule: finalFraction is ${finalFraction}, needs [0, 1]`);
  if (step < warmupSteps) return (peak * (step + 1)) / warmupSteps;
  const top = Math.max(warmupSteps - 1, 0);
  const fallen = Math.min(step, steps - 1) - top;
  return fallen <= 0 ? peak : peak * (1 - (1 - finalFraction) * (fallen / (steps - 1 - top)));
}
