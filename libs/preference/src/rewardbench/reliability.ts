import { wilsonInterval, type Accuracy } from '../held-out-report';

/** Items whose predicted winner is about as probable. */
export interface ReliabilityBin extends Accuracy {
  /** Bounds of the probability: above `low`, at most `high`. */
  low: number;
  high: number;
  items: number;
  /** Mean of the predicted probability. */
  confidence: number;
}

const binCount = 10;

/**
 * How often the predicted winner is right, by how probable it is said to be: ten bins of equal width on (1/2, 1], without the
 * empty ones.
 *
 * @param confidences [N] probability of the predicted winner, 1/2..1
 */
export function reliability(confidences: readonly number[], isRight: readonly boolean[]): ReliabilityBin[] {
  const width = 0.5 / binCount;
  // As in expectedCalibrationError: an edge belongs to the bin below it, but for rounding, and 1/2 to the first.
  const binOf = (confidence: number) =>
    Math.min(Math.max(Math.ceil((confidence - 0.5) / width - 1e-12) - 1, 0), binCount - 1);
  return Array.from({ length: binCount }, (_, bin) => bin).flatMap((bin) => {
    const own = confidences.flatMap((confidence, i) => (binOf(confidence) === bin ? [{ confidence, i }] : []));
    if (own.length === 0) return [];
    const right = own.filter(({ i }) => isRight[i]).length;
    return [
      {
        low: 0.5 + bin * width,
        high: 0.5 + (bin + 1) * width,
        items: own.length,
        confidence: own.reduce((sum, { confidence }) => sum + confidence, 0) / own.length,
        accuracy: right / own.length,
        accuracyCi95: wilsonInterval(right, own.length),
      },
    ];
  });
}
