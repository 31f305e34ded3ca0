import type { Bandit, SimulatedMode } from '@surefoot/risk';
import { rowLabel, type Drawing } from './drawing';
import type { Figure } from './figure';
import { fixed, percent, signed } from './numbers';
import { methodStyle } from './palette';

/** A bandit with what came of every mode. */
export interface BanditResult {
  name: string;
  title: string;
  /** One sentence. */
  shows: string;
  bandit: Bandit;
  /**
   * What each mode chooses where the estimates happen to be right, at its beta, and what one reward model that says so can promise of
   * such a step: it gains at least this with 95 % probability, over the model's errors.
   */
  policies: readonly { mode: string; policy: readonly number[]; gainAtLeast: number }[];
  simulated: readonly SimulatedMode[];
}

const rowHeight = 50;
const row = { marginTop: 4, marginLeft: 20, marginRight: 24 };

/** The arms, what each mode chooses, and what it gains. */
export function banditCharts(drawing: Drawing, result: BanditResult): Record<'arms' | 'policies' | 'gains', Figure> {
  return {
    arms: armsChart(drawing, result),
    policies: policiesChart(drawing, result),
    gains: gainsChart(drawing, result),
  };
}

function armsChart({ Plot, draw }: Drawing, { title, bandit }: BanditResult): Figure {
  const { means, variances, reference } = bandit;
  const arms = means.map((value, i) => ({
    name: `arm ${i + 1}`,
    value,
    low: value - Math.sqrt(variances[i]!),
    high: value + Math.sqrt(variances[i]!),
    share: reference[i]!,
  }));
  const words = arms.map(({ name, value, high }) => `${name} ${fixed(value)}, known to ${fixed(high - value)}`);
  const picture = draw(`True values: ${words.join('; ')}.`, {
    ...row,
    height: arms.length * rowHeight + 44,
    x: { label: 'value', grid: true, nice: true, ticks: 6 },
    y: { domain: [0, 1], axis: null },
    fy: { domain: arms.map(({ name }) => name), axis: null, padding: 0.1 },
    marks: arms.flatMap(({ name, value, low, high, share }) => {
      const fy = () => name;
      return [
        rowLabel(Plot, name, `${name}: ${signed(value)} ± ${fixed(high - value)}, reference ${percent(share)}`),
        Plot.link([name], { fy, x1: low, x2: high, y1: 0.25, y2: 0.25, stroke: 'var(--series-1)', strokeWidth: 5 }),
        Plot.dot([name], {
          ...{ fy, x: value, y: 0.25, r: 5, fill: 'currentColor' },
          title: () =>
            `${name}: ${signed(value)}, one reward model says ${signed(low)} to ${signed(high)} two times in three`,
        }),
      ];
    }),
  });
  return {
    title,
    picture,
    caption:
      'The dot is what an arm is truly worth, the bar one standard deviation of what a single reward model says of it. The share is how often the reference gives it.',
  };
}

function policiesChart({ Plot, draw }: Drawing, { bandit, policies }: BanditResult): Figure {
  const rows = [{ mode: 'reference', policy: bandit.reference }, ...policies];
  const words = rows.map(({ mode, policy }) => `${mode} ${policy.map(percent).join(', ')}`);
  const picture = draw(`Probabilities of the arms: ${words.join('; ')}.`, {
    ...row,
    height: rows.length * rowHeight + 44,
    x: { label: 'probability', domain: [0, 1], tickFormat: percent, ticks: 5 },
    y: { domain: [0, 1], axis: null },
    fy: { domain: rows.map(({ mode }) => mode), axis: null, padding: 0.1 },
    marks: rows.flatMap(({ mode, policy }) => {
      const fy = () => mode;
      const ends = policy.map((_, i) => policy.slice(0, i + 1).reduce((sum, p) => sum + p));
      const pieces = policy.map((p, i) => ({ start: ends[i]! - p, end: ends[i]!, p, arm: i + 1 }));
      return [
        rowLabel(Plot, mode, mode),
        ...pieces.map(({ start, end, arm }) =>
          Plot.rect([arm], {
            fy,
            x1: start,
            x2: end,
            y1: 0,
            y2: 0.5,
            inset: 0.5,
            fill: methodStyle(arm - 1).color,
            fillOpacity: 0.55,
            title: () => `${mode}, arm ${arm}: ${percent(end - start)}`,
          }),
        ),
        Plot.text(
          pieces.filter(({ p }) => p >= 0.06),
          {
            fy,
            x: ({ start, end }) => (start + end) / 2,
            y: 0.25,
            text: ({ arm }) => String(arm),
            fill: 'currentColor',
          },
        ),
      ];
    }),
  });
  return {
    title: 'What each mode chooses',
    picture,
    caption:
      'Probabilities of the arms, by their number, where the reward model happens to be right. All modes are as far from the reference on average over its errors (equal mean KL), so none looks careful merely because it moves less.',
  };
}

function gainsChart({ Plot, draw }: Drawing, { simulated }: BanditResult): Figure {
  const at = ({ gain }: SimulatedMode, level: number) => gain.quantiles.find((each) => each.level === level)!.value;
  const words = simulated.map(
    ({ mode, worse, gain }) => `${mode} worse in ${percent(worse.p)}, mean ${signed(gain.mean)}`,
  );
  const picture = draw(`Gains over all errors of the reward models: ${words.join('; ')}.`, {
    ...row,
    height: simulated.length * rowHeight + 44,
    x: { label: 'true gain over the reference', grid: true, nice: true, ticks: 6 },
    y: { domain: [0, 1], axis: null },
    fy: { domain: simulated.map(({ mode }) => mode), axis: null, padding: 0.1 },
    marks: [
      Plot.ruleX([0], { stroke: 'currentColor', strokeDasharray: '3 3' }),
      ...simulated.flatMap((result) => {
        const { mode, worse, gain } = result;
        const fy = () => mode;
        const bar = (low: number, high: number, strokeWidth: number) =>
          Plot.link([mode], {
            fy,
            x1: at(result, low),
            x2: at(result, high),
            y1: 0.25,
            y2: 0.25,
            stroke: 'var(--series-1)',
            strokeWidth,
          });
        return [
          rowLabel(Plot, mode, `${mode}: worse in ${percent(worse.p)}, ${signed(gain.mean)}`),
          bar(0.05, 0.95, 2),
          bar(0.25, 0.75, 7),
          Plot.dot([mode], {
            ...{ fy, x: gain.mean, y: 0.25, r: 4.5, fill: 'currentColor', stroke: 'var(--paper)' },
            title: () =>
              `${mode}: mean gain ${signed(gain.mean)}, sd ${fixed(gain.sd)}, 90 % of draws ${signed(at(result, 0.05))} to ${signed(at(result, 0.95))}`,
          }),
        ];
      }),
    ],
  });
  return {
    title: 'What it gains, and how often it ends worse',
    picture,
    caption:
      'Over all draws of the reward models’ errors: the dot is the mean of the true gain, the thick bar the middle half, the thin one nine tenths. What lies left of the dashed 0 ended worse than the reference.',
  };
}
