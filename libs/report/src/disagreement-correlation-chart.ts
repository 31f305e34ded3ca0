import type { Drawing } from './drawing';
import { chartWidth } from './drawing';
import type { Figure } from './figure';
import { fixed, signed } from './numbers';

/** Rank correlations between members, a cell a pair. */
export function correlationChart(
  { Plot, draw }: Drawing,
  spearman: readonly (readonly (number | null)[])[],
  texts: number,
): Figure {
  const members = spearman.length;
  const cells = spearman.flatMap((row, a) => row.flatMap((rho, b) => (a === b || rho === null ? [] : [{ a, b, rho }])));
  const values = cells.map(({ rho }) => rho);
  const average = values.reduce((sum, rho) => sum + rho, 0) / values.length;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const words =
    values.length === 0 ? 'none of them varies' : `mean ${fixed(average)}, from ${fixed(low)} to ${fixed(high)}`;
  const ticks = Array.from({ length: members }, (_, k) => k).filter((k) => k % Math.ceil(members / 20) === 0);
  const size = (chartWidth - 44 - 20) / members;
  const picture = draw(`Rank correlations between ${members} members over ${texts} texts: ${words}.`, {
    ...{ height: chartWidth - 20 + 8, marginTop: 8, marginBottom: 40, marginRight: 20 },
    x: { label: 'member', type: 'band', domain: spearman.map((_, k) => k), ticks, padding: 0.04, tickSize: 0 },
    y: { label: 'member', type: 'band', domain: spearman.map((_, k) => k), ticks, padding: 0.04, tickSize: 0 },
    marks: [
      Plot.cell(cells, {
        ...{ x: 'b', y: 'a', rx: 2 },
        fill: ({ rho }) => (rho < 0 ? 'var(--series-0)' : 'var(--series-1)'),
        fillOpacity: ({ rho }) => 0.04 + 0.5 * Math.abs(rho),
        title: ({ a, b, rho }) => `members ${a} and ${b}: ${signed(rho)}`,
      }),
      ...(size < 22
        ? []
        : [
            Plot.text(cells, {
              ...{ x: 'b', y: 'a', fill: 'currentColor', fontSize: 11, pointerEvents: 'none' },
              text: ({ rho }) => fixed(rho).replace('0.', '.'),
            }),
          ]),
    ],
    color: { type: 'identity' },
    opacity: { type: 'identity' },
  });
  return {
    title: 'How alike the members rank',
    picture,
    caption: `Rank correlation (Spearman) between any two members over ${texts} texts: ${words}. At 1 the seed would not matter; near 0 the members agree on nothing, and their mean is little better than a guess. Blue for positive, orange for negative values, stronger the farther from 0.`,
  };
}
