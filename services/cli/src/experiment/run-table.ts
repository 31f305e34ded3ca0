import { decimalsFor, type RiskReport } from '@surefoot/risk';
import { table } from '../table';

/** The methods of a report side by side, for a terminal. */
export function runTable({ measure, methods }: Pick<RiskReport, 'measure' | 'methods'>): string {
  const header = ['method', 'runs', 'failed', `mean ${measure} gain`, 'sd', 'worst', 'worse than start', 'KL'];
  const summaries = Object.values(methods);
  const gainDecimals = decimalsFor(
    summaries.map(({ gain }) => gain.sd ?? Math.abs(gain.mean ?? 0)),
    3,
  );
  const klDecimals = decimalsFor(
    summaries.map(({ kl }) => kl.mean),
    3,
  );
  const rows = Object.entries(methods).map(([name, { n, failed, gain, worse, kl }]) => [
    name,
    String(n),
    String(failed),
    rounded(gain.mean, gainDecimals),
    rounded(gain.sd, gainDecimals),
    rounded(gain.min, gainDecimals),
    `${worse.count}/${worse.n}`,
    rounded(kl.mean, klDecimals),
  ]);
  return table(header, rows);
}

function rounded(value: number | null, decimals: number): string {
  return value === null ? '–' : value.toFixed(decimals);
}
