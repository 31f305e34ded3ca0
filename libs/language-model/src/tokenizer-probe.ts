import { createContext, runInContext } from 'node:vm';

/**
 * Texts on which a pattern that tries its choices again and again would take for ever: each printable character many times, one
 * that ends the run, and words. A tokenizer is made to encode them before it is used.
 */
export const probes: string[] = [
  ...Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)),
  ...['\n', '\t', 'é', '中', 'ab', 'a ', ' \n', '1,', 'aB', "'s"],
].flatMap((text) => [`${text.repeat(64)}\u0001`, text.repeat(64)]);

/**
 * Runs something that may get lost in a regular expression, which nothing within this thread could stop.
 *
 * The limit is one of processor time: where others keep the processors busy, it is tried again with more time on the clock.
 *
 * @param run may be called several times
 * @throws Error where it takes longer than limitMs
 */
export function withinTime(run: () => void, limitMs = 2000): void {
  for (let clockMs = limitMs; ;) {
    const before = process.cpuUsage();
    if (endsWithin(run, clockMs)) return;
    const { user, system } = process.cpuUsage(before);
    const usedMs = (user + system) / 1000;
    if (usedMs >= limitMs || clockMs > 50 * limitMs)
      throw new Error(`encoding a short text takes longer than ${limitMs / 1000} s`);
    // As much as would do if the processors stay as busy: more would let it compute beyond the limit where they do not.
    clockMs *= Math.min(4, Math.max(1.2, limitMs / usedMs));
  }
}

/** False where it was stopped by the clock. @throws what it throws */
function endsWithin(run: () => void, clockMs: number): boolean {
  let failure: { error: unknown } | undefined;
  const attempt = () => {
    try {
      run();
    } catch (error) {
      failure = { error };
    }
  };
  try {
    runInContext('attempt()', createContext({ attempt }), { timeout: clockMs });
  } catch (error) {
    if ((error as { code?: string }).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return false;
    throw error;
  }
  if (failure) throw failure.error;
  return true;
}
