import { counted } from '@surefoot/risk';
import type { DisagreementScores, Text } from './disagreement-charts';
import type { Drawing } from './drawing';
import type { Figure } from './figure';
import { reach } from './histogram';
import { fixed, type NumberFormat } from './numbers';

const mostDots = 1000;

/** Range against distance: a dot a text, and the middle half of groups of texts. */
export function distanceChart(
  { Plot, draw }: Drawing,
  texts: readonly Text[],
  { from, spearman, groups }: NonNullable<DisagreementScores['distance']>,
  scores: NumberFormat,
): Figure {
  const ranges = texts.map(({ range }) => range);
  const { end, within, beyond } = reach(ranges, scores.fixed);
  const every = Math.ceil(texts.length / mostDots);
  const dots = texts.filter((text, i) => text.distance !== undefined && i % every === 0);
  // A group of one distance still needs a width to be seen.
  const bands = groups.map((group) => {
    const half = Math.max(0.008, (group.to - group.from) / 2);
    const centre = (group.from + group.to) / 2;
    return { ...group, centre, low: centre - half, high: centre + half };
  });
  const middle = ({ median }: { median: number }) => within(median);
  const words = groups.map(({ to, median }) => `${scores.fixed(median)} up to ${fixed(to)}`);
  const correlation = spearman === null ? '' : ` Spearman's rank correlation ${fixed(spearman)}.`;
  const picture = draw(`Median range with growing distance: ${words.join(', ')}.${correlation}`, {
    height: 280,
    x: { label: `distance from ${from}`, nice: true, ticks: 6 },
    y: { label: 'largest less smallest score', grid: true, domain: [0, end], nice: true, ticks: 6 },
    marks: [
      Plot.rect(bands, {
        ...{
          x1: 'low',
          x2: 'high',
          y1: ({ quartiles }) => within(quartiles[0]),
          y2: ({ quartiles }) => within(quartiles[1]),
        },
        ...{ fill: 'var(--series-0)', fillOpacity: 0.3, rx: 2 },
      }),
      Plot.dot(dots, {
        ...{ x: 'distance', y: ({ range }: Text) => within(range), r: 2.5, fill: 'var(--series-1)', fillOpacity: 0.45 },
        title: ({ id, distance, range }: Text) => `${id}: distance ${fixed(distance)}, range ${scores.fixed(range)}`,
      }),
      Plot.link(bands, {
        ...{ x1: 'low', x2: 'high', y1: middle, y2: middle, stroke: 'var(--series-0)', strokeWidth: 3 },
        title: ({ from: start, to, texts: count, median }) =>
          `${counted(count, 'text')} at ${fixed(start)} to ${fixed(to)}: median range ${scores.fixed(median)}`,
      }),
      Plot.ruleY([0]),
    ],
  });
  return {
    title: 'The farther from the data, the farther apart?',
    picture,
    caption: `Each dot is a text; its distance is 1 less the largest share of words that it has in common with one of ${from} (Jaccard similarity of their sets of words, prompt and response together). Bars and lines are the middle half and the median of texts of like distance. If disagreement knows where data are missing, they rise.${correlation}${beyond(ranges)}`,
  };
}
