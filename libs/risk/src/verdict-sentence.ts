import { constantOf, fewestUnits, type Comparison } from './comparison';
import { decimalsFor } from './decimals';
import type { Interval } from './intervals';
import type { MethodSummary } from './method-summary';
import type { RiskReport } from './risk-report';
import { fewestPairs } from './verdict';

/** What a comparison shows, in plain words. */
export interface VerdictText {
  /** One sentence that claims what the verdict does and no more. */
  headline: string;
  /** The figures behind it with their uncertainty, a few sentences. */
  evidence: string;
}

/** The verdict of every comparison in words; with a single method, what its runs came to. */
export function verdictTexts(report: RiskReport): VerdictText[] {
  if (report.comparisons.length > 0) return report.comparisons.map((comparison) => comparisonText(report, comparison));
  return Object.entries(report.methods).map(([name, summary]) => ({
    headline: `${name} alone: no other method to compare it with.`,
    evidence: `${gainText(name, summary, report)} ${worseText(name, summary)}.`,
  }));
}

function comparisonText(report: RiskReport, comparison: Comparison): VerdictText {
  const { a, b, worse } = comparison;
  const [ownA, ownB] = [report.methods[a], report.methods[b]] as [MethodSummary, MethodSummary];
  const evidence = [
    ...spreadText(comparison, ownA, ownB),
    `${worseText(b, ownB)}, ${a} in ${ownA.worse.count} of ${ownA.worse.n}${failedText(ownA)} (${pText(worse.mcnemar.p)} by McNemar's test on the pairs).`,
    ...pairedGainText(comparison, report),
  ];
  return { headline: headlineOf(comparison, ownA, ownB), evidence: evidence.join(' ') };
}

function headlineOf(comparison: Comparison, ownA: MethodSummary, ownB: MethodSummary): string {
  const { a, b, pairedKl, klMatched, klPlacements, verdict } = comparison;
  const constant = constantOf(comparison);
  switch (verdict) {
    case 'steadier':
      return `${b} is steadier than ${a}.`;
    case 'less steady':
      return `${b} is less steady than ${a}.`;
    case 'no difference shown':
      return `No difference in steadiness between ${b} and ${a} is shown.`;
    case 'too few runs to tell':
      return `Too few runs to tell whether ${b} is steadier than ${a}: ${tooFewText(comparison)}.`;
    case 'not comparable':
      if (klPlacements)
        return `${b} and ${a} are not comparable: they pay the KL penalty in different places (klPlacement ${klPlacements.b} and ${klPlacements.a}).`;
      if (!klMatched)
        return `${b} and ${a} are not comparable: their mean final KLs are ${klText(pairedKl.b, pairedKl.a)} nats.`;
      return constant.length > 0
        ? `The steadiness of ${b} and ${a} is not comparable: every gain of ${constant.join(' is the same, and every gain of ')} is the same.`
        : `${b} and ${a} are not comparable: ${ownB.failed} and ${ownA.failed} of their runs failed.`;
    default:
      return verdict satisfies never;
  }
}

/** What there is too little of. */
function tooFewText({ pairs, rewardModels }: Comparison): string {
  if (pairs < fewestPairs)
    return `${pairs} completed ${pairs === 1 ? 'pair' : 'pairs'}, and at least ${fewestPairs} are needed`;
  return rewardModels < fewestUnits ? 'they share too few reward models' : 'too few of their gains differ';
}

function klText(...kls: [number | null, number | null]): string {
  const decimals = decimalsFor(kls);
  return kls.map((kl) => kl?.toFixed(decimals) ?? 'unknown').join(' and ');
}

/** Of the pairs, as the ratio is, which may be fewer than the runs of each. */
function spreadText(comparison: Comparison, ownA: MethodSummary, ownB: MethodSummary): string[] {
  const { a, b, pairs } = comparison;
  const { a: sdA, b: sdB } = comparison.pairedSd;
  if (sdA === null || sdB === null) return [];
  const decimals = decimalsFor([sdA, sdB]);
  return [
    `${[ownA, ownB].every(({ gain }) => gain.n === pairs) ? 'Gains' : `Over the ${pairs} pairs gains`} varied by a standard deviation of ${sdB.toFixed(decimals)} with ${b} and ${sdA.toFixed(decimals)} with ${a}${ratioText(comparison)}.`,
  ];
}

function ratioText({ a, b, varianceRatio: { value, ci95 } }: Comparison): string {
  if (value === null) return '';
  const decimals = decimalsFor([value, ci95 && ci95[0]]);
  const format = (ratio: number) => ratio.toFixed(decimals);
  return `; variance ratio of ${a} to ${b} ${format(value)}${interval(ci95, format)}`;
}

function pairedGainText({ a, b, pairedGain: { mean, ci95, overBlocks } }: Comparison, report: RiskReport): string[] {
  if (mean === null) return [];
  return [
    `On average ${b} gained ${gainsText(mean, ci95)} in ${measureText(report)} relative to ${a}.`,
    ...(ci95 ? [dataSetsText(overBlocks)] : []),
  ];
}

/** What intervals over runs do not say: those of one data set are no independent runs. */
function dataSetsText(over: Comparison['pairedGain']['overBlocks']): string {
  return over
    ? `These intervals are for runs on these ${over.blocks} data sets; over data sets (Student's t of the ${over.blocks} means) that gain is ${gainsText(over.mean, over.ci95)}.`
    : 'All are on one data set: the intervals say nothing of others.';
}

function gainText(name: string, { gain }: MethodSummary, report: RiskReport): string {
  if (gain.mean === null) return `${name}: no run completed.`;
  const runs = gain.n === 1 ? '1 run' : `${gain.n} runs`;
  return `Over ${runs} the mean gain in ${measureText(report)} was ${gainsText(gain.mean, gain.ci95)}.`;
}

function worseText(name: string, summary: MethodSummary): string {
  const { worse } = summary;
  return `${name} ended worse than it began in ${worse.count} of ${worse.n} ${worse.n === 1 ? 'run' : 'runs'}${failedText(summary)}`;
}

/** Failed runs are among those that count as worse. */
function failedText({ failed }: MethodSummary): string {
  return failed > 0 ? ` (${failed} failed, which counts as worse)` : '';
}

function measureText({ measure }: RiskReport): string {
  return measure === 'gold' ? 'gold value' : "the judge's score";
}

function interval(ends: Interval | null, format: (value: number) => string): string {
  return ends ? ` (95 % interval ${format(ends[0])} to ${format(ends[1])})` : '';
}

function pText(p: number): string {
  return p < 0.001 ? 'p < 0.001' : `p = ${p.toFixed(3)}`;
}

function gainsText(mean: number, ci95: Interval | null): string {
  const decimals = decimalsFor([ci95 ? ci95[1] - ci95[0] : Math.abs(mean)]);
  const format = (value: number) => signed(value, decimals);
  return `${format(mean)}${interval(ci95, format)}`;
}

function signed(value: number, decimals: number): string {
  const size = Math.abs(value).toFixed(decimals);
  return `${value < 0 && Number(size) > 0 ? '−' : '+'}${size}`;
}
