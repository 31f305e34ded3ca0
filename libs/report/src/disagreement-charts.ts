import { quantile } from '@surefoot/risk';
import type { Drawing } from './drawing';
import type { Figure } from './figure';
import { extent, fixed } from './numbers';

/** What `reward disagree` measures, as far as it is drawn. */
export interface DisagreementScores {
  texts: readonly {
    id: string;
    /** [K], one for each member. */
    scores: readonly number[];
    /** Largest less smallest score. */
    range: number;
  }[];
}

/**
 * How far the members of an ensemble are apart: bars of their scores on one text, and the ranges over all texts.
 *
 * @param options.id the text whose bars are drawn, default the one with the widest range
 */
export function disagreementCharts(
  drawing: Drawing,
  { texts }: DisagreementScores,
  { id }: { id?: string } = {},
): { members: Figure[]; ranges: Figure[] } {
  const widest = texts.reduce((best, text) => (best && best.range >= text.range ? best : text), texts[0]);
  const text = id === undefined ? widest : texts.find((candidate) => candidate.id === id);
  return {
    members: text ? [memberChart(drawing, texts, text)] : [],
    ranges: texts.length > 1 ? [rangeChart(drawing, texts)] : [],
  };
}

type Text = DisagreementScores['texts'][number];

function memberChart({ Plot, draw }: Drawing, texts: readonly Text[], text: Text): Figure {
  const { scores } = text;
  const members = scores.map((score, k) => ({ score, top: k + 0.6, bottom: k + 1.4 }));
  const all = texts.length > 1 ? histogram(texts.flatMap((each) => each.scores)) : [];
  const highest = Math.max(...all.map(({ count }) => count));
  const bottom = scores.length + 0.6;
  const [low, high] = extent(scores);
  const picture = draw(
    `Scores of ${scores.length} members on the text ${text.id}: from ${fixed(low)} to ${fixed(high)}.`,
    {
      height: 18 * scores.length + 60,
      x: { label: 'score', nice: true, ticks: 6 },
      y: {
        label: 'member',
        domain: [bottom, 0.4],
        ticks: scores.map((_, k) => k + 1),
        tickFormat: (k: number) => String(k - 1),
      },
      marks: [
        Plot.rect(all, {
          x1: 'low',
          x2: 'high',
          y1: bottom,
          y2: ({ count }: Bin) => bottom - (bottom - 0.4) * (count / highest),
          inset: 0.5,
          fill: 'currentColor',
          fillOpacity: 0.13,
        }),
        Plot.rect(members, { x1: 0, x2: 'score', y1: 'top', y2: 'bottom', fill: 'var(--series-1)', fillOpacity: 0.85 }),
        Plot.ruleX([0]),
      ],
    },
  );
  return {
    title: 'The members on one text',
    picture,
    caption: `Every bar is what one reward model gives the same text (${text.id}): they span ${fixed(text.range)}. ${
      all.length > 0
        ? 'The grey shape behind is the distribution of all scores over all texts: bars that span much of it disagree about whether the text is good or bad.'
        : ''
    }`,
  };
}

function rangeChart({ Plot, draw }: Drawing, texts: readonly Text[]): Figure {
  const ranges = texts.map(({ range }) => range);
  const [median, high] = [quantile(ranges, 0.5), quantile(ranges, 0.95)];
  const bins = histogram(ranges);
  const picture = draw(
    `Range of the members' scores over ${ranges.length} texts: median ${fixed(median)}, 95 % below ${fixed(high)}.`,
    {
      height: 240,
      x: { label: 'largest less smallest score', nice: true, ticks: 6 },
      y: { label: 'texts', grid: true, nice: true, ticks: 5 },
      marks: [
        Plot.rect(bins, {
          x1: 'low',
          x2: 'high',
          y1: 0,
          y2: 'count',
          inset: 0.5,
          fill: 'var(--series-1)',
          fillOpacity: 0.85,
        }),
        Plot.ruleX([median], { stroke: 'currentColor', strokeDasharray: '3 3' }),
        Plot.ruleY([0]),
      ],
    },
  );
  return {
    title: 'How far apart on all texts',
    picture,
    caption: `Range of the members' scores on each of ${ranges.length} texts; the dashed line is the median, ${fixed(median)}. Models that differ in their seed alone would all be at 0 if the data settled what is good.`,
  };
}

interface Bin {
  low: number;
  high: number;
  count: number;
}

/** Counts in equal bins from the smallest to the largest value; one bin where all are equal. */
function histogram(values: readonly number[]): Bin[] {
  const [low, high] = extent(values);
  const bins = low === high ? 1 : Math.min(30, Math.ceil(Math.sqrt(values.length)) + 5);
  const width = (high - low) / bins || 1;
  const counts = new Array<number>(bins).fill(0);
  for (const value of values) {
    const bin = Math.min(bins - 1, Math.floor((value - low) / width));
    counts[bin] = (counts[bin] as number) + 1;
  }
  return counts.map((count, i) => ({ low: low + i * width, high: low + (i + 1) * width, count }));
}
