import { counted, quantile, type Interval } from '@surefoot/risk';
import type { DisagreementScores } from './disagreement-charts';
import { rowLabel, shortened, type Drawing } from './drawing';
import type { Figure } from './figure';
import { histogram, reach, type Bin } from './histogram';
import { extent, numberFormat, percent, type NumberFormat } from './numbers';

type Texts = Pick<DisagreementScores, 'texts'> & { name: string };

/** The ranges on some texts over those on others, on one scale. */
export function againstChart(
  { Plot, draw }: Drawing,
  own: Texts,
  against: NonNullable<DisagreementScores['against']>,
  { fixed }: NumberFormat,
): Figure {
  const all = [own, against].flatMap(({ texts }) => texts.map(({ range }) => range));
  const { end, within, beyond } = reach(all, fixed);
  const ends: Interval = [extent(all)[0], end];
  const rows = [against, own].map(({ name, texts }, i) => {
    const ranges = texts.map(({ range }) => range);
    const bins = histogram(ranges.map(within), ends);
    const highest = Math.max(...bins.map(({ count }) => count));
    const median = quantile(ranges, 0.5);
    const style = { fill: `var(--series-${1 - i})`, fillOpacity: 0.75 };
    // Names may be alike; facets may not.
    return { row: `${i}`, name, count: ranges.length, bins, highest, median, style, farthest: beyond(ranges, name) };
  });
  const words = rows.map(({ name, count, median }) => `${name} (${counted(count, 'text')}) median ${fixed(median)}`);
  const picture = draw(`Range of the members' scores: ${words.join('; ')}.`, {
    ...{ height: rows.length * 120 + 44, marginTop: 4, marginLeft: 20, marginRight: 24 },
    x: { label: 'largest less smallest score', nice: true, grid: true, ticks: 6 },
    y: { domain: [0, 1], axis: null },
    fy: { domain: rows.map(({ row }) => row), axis: null, padding: 0.06 },
    marks: rows.flatMap(({ row, name, count, bins, highest, median, style }) => {
      const fy = () => row;
      return [
        Plot.rect(bins, {
          ...{ fy, x1: 'low', x2: 'high', y1: 0, y2: (bin: Bin) => (0.78 * bin.count) / highest, inset: 0.5, ...style },
          title: (bin: Bin) =>
            `${name}: ${fixed(bin.low)} to ${fixed(bin.high)}: ${bin.count} of ${counted(count, 'text')}`,
        }),
        Plot.link([within(median)], {
          ...{ fy, x1: (value: number) => value, x2: (value: number) => value, y1: 0, y2: 0.78 },
          ...{ stroke: 'currentColor', strokeDasharray: '3 3' },
        }),
        rowLabel(Plot, row, `${shortened(name)}: median ${fixed(median)}, ${counted(count, 'text')}`),
      ];
    }),
  });
  const { medianRatio } = against;
  const ratio =
    medianRatio === null ? '' : ` Their median is ${numberFormat([medianRatio]).fixed(medianRatio)} times as large.`;
  return {
    title: 'Familiar texts and others',
    picture,
    caption: `Ranges on ${against.name} above, on ${own.name} below; dashed the medians, each shape by its own highest bar. A range on the latter is wider than one on the former in ${percent(against.wider)} of all comparisons: 50 % would mean that the members are equally sure of both.${ratio}${rows.map(({ farthest }) => farthest).join('')}`,
  };
}
