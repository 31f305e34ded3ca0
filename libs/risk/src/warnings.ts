import { constantOf, fewestUnits, type Comparison, type MethodRuns } from './comparison';
import { counted } from './counted';
import { groupBy } from './group-by';
import { pairsOf, rewardModelOf } from './outcome';
import { hasMeasure, type Measure, type RunRecord } from './run-record';
import { fewestPairs } from './verdict';

/** What a reader must know before trusting the figures, a sentence each. */
export function warningsOf(evidence: {
  runs: readonly RunRecord[];
  measure: Measure;
  methods: readonly MethodRuns[];
  comparisons: readonly Comparison[];
}): string[] {
  const { runs, measure, methods, comparisons } = evidence;
  const [first, ...others] = methods as [MethodRuns, ...MethodRuns[]];
  return [
    ...measureWarnings(runs, measure),
    ...cancelledWarnings(runs),
    ...trainerWarnings(runs.filter(({ status }) => status !== 'cancelled')),
    ...methods.flatMap(methodWarnings),
    ...others.flatMap((other) => pairWarnings(first, other)),
    ...comparisons.flatMap(comparisonWarnings),
  ];
}

function measureWarnings(runs: readonly RunRecord[], measure: Measure): string[] {
  const withGold = runs.filter((run) => run.status === 'completed' && hasMeasure(run, 'gold')).length;
  if (measure === 'gold' || withGold === 0) return [];
  return [`only ${counted(withGold, 'run')} of ${runs.length} has gold values: every run is measured by the judge`];
}

function cancelledWarnings(runs: readonly RunRecord[]): string[] {
  const cancelled = runs.filter((run) => run.status === 'cancelled');
  if (cancelled.length === 0) return [];
  return [`${counted(cancelled.length, 'cancelled run')} left out: ${cancelled.map(nameOf).join(', ')}`];
}

/** Each text once, with the number of runs that it holds for. */
function trainerWarnings(runs: readonly RunRecord[]): string[] {
  const all = runs.flatMap(({ warnings = [] }) => [...new Set(warnings)]);
  return [...groupBy(all, (text) => text)].map(
    ([text, { length }]) => `${length} of ${counted(runs.length, 'run')}: ${text}`,
  );
}

function methodWarnings({ name, outcomes, summary }: MethodRuns): string[] {
  const { n, failed, gain } = summary;
  const repeated = [...groupBy(outcomes, ({ run }) => JSON.stringify([run.block, run.seed])).values()].filter(
    (group) => group.length > 1,
  );
  const rewardModels = groupBy(outcomes, (outcome) => rewardModelOf(outcome)).size;
  return [
    ...(failed > 0 ? [`${name}: ${failed} of ${counted(n, 'run')} failed; they count as worse and have no gain`] : []),
    ...(gain.n < fewestPairs
      ? [
          `${name}: ${counted(gain.n, 'completed run')}; a claim about how much gains vary needs at least ${fewestPairs}`,
        ]
      : []),
    ...(rewardModels < n
      ? [
          `${name}: ${n} runs follow ${counted(rewardModels, 'reward model')} and are no independent runs; intervals that take each for itself are too narrow`,
        ]
      : []),
    ...repeated.map(
      (group) =>
        `${name}: ${group.map(({ run }) => nameOf(run)).join(', ')} share seed ${group[0]?.run.seed} and are no independent runs`,
    ),
  ];
}

function pairWarnings(a: MethodRuns, b: MethodRuns): string[] {
  const pairs = pairsOf(a.outcomes, b.outcomes);
  const unequal = pairs.filter(
    ([own, other]) => own.run.seed !== other.run.seed || own.run.member !== other.run.member,
  );
  const alone = (own: MethodRuns, other: MethodRuns) => {
    const runs = own.outcomes.length - pairs.length;
    return runs > 0
      ? [`${own.name}: ${counted(runs, 'run')} without a partner of ${other.name}, left out of their paired comparison`]
      : [];
  };
  return [
    ...alone(a, b),
    ...alone(b, a),
    ...(unequal.length > 0
      ? [`${a.name} and ${b.name}: the partners of ${counted(unequal.length, 'pair')} differ in seed or reward member`]
      : []),
  ];
}

function comparisonWarnings(comparison: Comparison) {
  const { a, b, pairs, rewardModels, pairedKl, klMatched, klPlacements, verdict } = comparison;
  const constant = constantOf(comparison);
  const [klA, klB] = [pairedKl.a, pairedKl.b].map((kl) => kl?.toFixed(2) ?? 'none');
  const enough = pairs >= fewestPairs;
  return [
    ...(klPlacements
      ? [
          `${b} and ${a} pay the KL penalty in different places (klPlacement ${klPlacements.b} and ${klPlacements.a}): what differs may be due to that`,
        ]
      : []),
    ...(klMatched || pairs === 0
      ? []
      : [`${b} and ${a} ended at different mean KLs (${klB} and ${klA} nats): not a fair comparison`]),
    ...(enough && klMatched && rewardModels < fewestUnits
      ? [`${b} and ${a}: the runs share too few reward models for an interval of the variance ratio`]
      : []),
    ...(enough && klMatched && constant.length > 0
      ? [
          `${b} and ${a}: the gains of ${constant.join(' and of ')} are all the same, so that no variances can be compared`,
        ]
      : []),
    ...(enough && klMatched && !klPlacements && constant.length === 0 && verdict === 'not comparable'
      ? [`${b} and ${a}: the one whose gains vary less failed more often, so its spread is that of its survivors`]
      : []),
  ];
}

function nameOf({ method, block, run }: RunRecord): string {
  return `${method} ${block} ${run}`;
}
