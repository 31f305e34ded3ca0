import { counted, quantile } from '@surefoot/risk';
import type { Drawing } from './drawing';
import type { Figure } from './figure';
import { againstChart } from './disagreement-against-chart';
import { correlationChart } from './disagreement-correlation-chart';
import { distanceChart } from './disagreement-distance-chart';
import { histogram, reach, type Bin } from './histogram';
import { extent, numberFormat, type NumberFormat } from './numbers';

/** How far the members are apart on one text, as far as it is drawn. */
export interface Text {
  id: string | number;
  /** [K], one for each member. */
  scores: readonly number[];
  /** Largest less smallest score. */
  range: number;
  /** To the nearest text of the pairs, in [0, 1]. */
  distance?: number;
  /** Given for the texts that are shown. */
  prompt?: string;
  response?: string;
}

/** How far the members of one ensemble are apart, in brief. */
export interface EnsembleDisagreement {
  /** Of the block that the ensemble belongs to. */
  name: string;
  members: number;
  /** How many texts were scored. */
  texts: number;
  /** Over the texts. */
  medianRange: number;
  widestRange: number;
  /** Mean rank correlation between two members; null where none of them varies. */
  correlation: number | null;
}

/** What `reward disagree` measures, as far as it is drawn; what is absent is not drawn. */
export interface DisagreementScores {
  texts: readonly Text[];
  /** What the texts are, such as the name of their file. */
  name?: string;
  /** Whether scores are in standard deviations of each member, or raw; absent where that is not known. */
  calibrated?: boolean;
  /** Ids, widest first and narrowest first; those whose prompt or response is given are shown. */
  widest?: readonly Text['id'][];
  narrowest?: readonly Text['id'][];
  /** [K][K] rank correlations. */
  spearman?: readonly (readonly (number | null)[])[];
  /** Other texts, such as those that the members were fitted to, and how often a range of `texts` is wider than one of these. */
  against?: { name: string; texts: readonly Text[]; wider: number; medianRatio: number | null };
  /** Every ensemble of an experiment, in brief; all else is of the first. */
  ensembles?: readonly EnsembleDisagreement[];
  /** How the range grows with the texts' distances; groups of growing distance. */
  distance?: {
    from: string;
    spearman: number | null;
    groups: readonly {
      from: number;
      to: number;
      texts: number;
      median: number;
      quartiles: readonly [number, number];
    }[];
  };
}

/**
 * How far the members of an ensemble are apart: bars of their scores on one text, the ranges over all texts, against other texts and
 * with the distance from them, and how alike the members rank.
 *
 * @param options.id the text whose bars are drawn, default the one with the widest range
 */
export function disagreementCharts(
  drawing: Drawing,
  { texts, name, against, distance, spearman }: DisagreementScores,
  { id }: { id?: string } = {},
): Record<'members' | 'ranges' | 'against' | 'distance' | 'correlation', Figure[]> {
  const widest = texts.reduce((best, text) => (best && best.range >= text.range ? best : text), texts[0]);
  const text = id === undefined ? widest : texts.find((candidate) => String(candidate.id) === id);
  const scores = scoreFormat([texts, against?.texts ?? []]);
  return {
    members: text ? [memberChart(drawing, texts, text)] : [],
    ranges: texts.length > 1 ? [rangeChart(drawing, texts, scores)] : [],
    against: against ? [againstChart(drawing, { texts, name: name ?? 'these texts' }, against, scores)] : [],
    distance: distance ? [distanceChart(drawing, texts, distance, scores)] : [],
    correlation: spearman && texts.length > 2 ? [correlationChart(drawing, spearman, texts.length)] : [],
  };
}

/** How scores are shown: with the decimals that the median range of each set of texts needs. */
function scoreFormat(sets: readonly (readonly Text[])[]): NumberFormat {
  const medians = sets.filter(({ length }) => length > 0).map((texts) => quantile(rangesOf(texts), 0.5));
  return numberFormat(medians);
}

const rangesOf = (texts: readonly Text[]) => texts.map(({ range }) => range);

function memberChart({ Plot, draw }: Drawing, texts: readonly Text[], text: Text): Figure {
  const { fixed, signed } = numberFormat([text.range]);
  const { scores } = text;
  const members = scores.map((score, k) => ({ score, k, top: k + 0.6, bottom: k + 1.4 }));
  const all = texts.length > 1 ? histogram(texts.flatMap((each) => each.scores)) : [];
  const highest = Math.max(...all.map(({ count }) => count));
  const bottom = scores.length + 0.6;
  const [low, high] = extent(scores);
  const picture = draw(
    `Scores of ${counted(scores.length, 'member')} on the text ${text.id}: from ${fixed(low)} to ${fixed(high)}.`,
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
        Plot.rect(members, {
          ...{ x1: 0, x2: 'score', y1: 'top', y2: 'bottom', fill: 'var(--series-1)', fillOpacity: 0.85 },
          title: ({ k, score }) => `member ${k}: ${signed(score)}`,
        }),
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

function rangeChart({ Plot, draw }: Drawing, texts: readonly Text[], { fixed }: NumberFormat): Figure {
  const ranges = rangesOf(texts);
  const [median, high] = [quantile(ranges, 0.5), quantile(ranges, 0.95)];
  const { within, beyond } = reach(ranges, fixed);
  const bins = histogram(ranges.map(within));
  const picture = draw(
    `Range of the members' scores over ${counted(ranges.length, 'text')}: median ${fixed(median)}, 95 % below ${fixed(high)}.`,
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
          title: ({ low, high, count }: Bin) => `${fixed(low)} to ${fixed(high)}: ${counted(count, 'text')}`,
        }),
        Plot.ruleX([median], { stroke: 'currentColor', strokeDasharray: '3 3' }),
        Plot.ruleY([0]),
      ],
    },
  );
  return {
    title: 'How far apart on all texts',
    picture,
    caption: `Range of the members' scores on each of ${ranges.length} texts; the dashed line is the median, ${fixed(median)}. Models that differ in their seed alone would all be at 0 if the data settled what is good.${beyond(ranges)}`,
  };
}
