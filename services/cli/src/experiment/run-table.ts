import type { RiskReport } from '@surefoot/risk';
import { table } from '../table';

/** The methods of a report side by side, for a terminal. */
export function runTable({ measure, methods }: RiskReport): string {
  const header = ['method', 'runs', 'failed', `mean ${measure} gain`, 'sd', 'worst', 'worse than start', 'KL'];
  const rows = Object.entries(methods).map(([name, { n, failed, gain, worse, kl }]) => [
    name,
    String(n),
    String(failed),
    rounded(gain.mean),
    rounded(gain.sd),
    rounded(gain.min),
    `${worse.count}/${worse.n}`,
    rounded(kl.mean),
  ]);
  return table(header, rows);
}

function rounded(value: number | null): string {
  return value === null ? '–' : value.toFixed(3);
}
