import type { PpoConfig } from '@surefoot/ppo';
import type { ExperimentConfig, ScorerLocation } from './config';
import type { ReportedExperiment, ReportedFolder } from './reported-folder';

/** What the configurations say against the figures, a sentence each. */
export function configurationWarnings(folders: ReportedFolder[]): string[] {
  return [
    ...folders.flatMap((folder) => unfinishedWarnings(folder, folders.length > 1 ? `${folder.name}: ` : '')),
    ...placementWarnings(klPlacements(folders)),
    ...[...new Set(folders.flatMap(({ experiment }) => (experiment ? judgeWarnings(experiment) : [])))],
    ...otherSurroundings(folders),
  ];
}

/** Where each method pays its KL penalty, as far as the folders say. */
export function klPlacements(folders: ReportedFolder[]): Record<string, PpoConfig['klPlacement']> {
  const methods = folders.flatMap(({ experiment }) => experiment?.config.methods ?? []);
  return Object.fromEntries(methods.map(({ name, ppo }) => [name, ppo.klPlacement]));
}

function unfinishedWarnings({ runs, experiment }: ReportedFolder, prefix: string): string[] {
  if (!experiment || runs.length >= experiment.planned) return [];
  return [`${prefix}${runs.length} of ${experiment.planned} planned runs have ended: the figures are those so far`];
}

function placementWarnings(placements: Record<string, string>): string[] {
  const [first, ...others] = Object.entries(placements);
  return others
    .filter(([, placement]) => placement !== first?.[1])
    .map(
      ([name, placement]) =>
        `${name} and ${first?.[0]} pay the KL penalty in different places (klPlacement ${placement} and ${first?.[1]}): what differs may be due to that`,
    );
}

/** As far as digests and folders tell: one that was copied from a member and changed is not found. */
function judgeWarnings({ config: { blocks, judge }, digests }: ReportedExperiment): string[] {
  return blocks
    .filter(({ name, ensemble }) => {
      const isSame = Boolean(digests.judge) && digests.judge === digests.ensembles[name];
      return isSame || (judge && ensemble && isWithin(judge, ensemble));
    })
    .map(({ name }) => `the judge is of the reward models of ${name}: what they get wrong, it does not see`);
}

function isWithin(judge: ScorerLocation, ensemble: NonNullable<ExperimentConfig['blocks'][number]['ensemble']>) {
  if ('address' in judge) return 'address' in ensemble && judge.address === ensemble.address;
  return 'folder' in ensemble && `${judge.folder}/`.startsWith(`${ensemble.folder}/`);
}

/** Folders whose runs start elsewhere, or are measured by something else. */
function otherSurroundings(folders: ReportedFolder[]): string[] {
  const [first, ...others] = folders.filter(({ experiment }) => experiment);
  return others.flatMap(({ name, experiment }) => {
    const differing = (['policy', 'prompts', 'evalPrompts', 'gold', 'judge'] as const).filter(
      (key) => experiment!.digests[key] !== first!.experiment!.digests[key],
    );
    return differing.length === 0
      ? []
      : [`${first!.name} and ${name} differ in ${differing.join(', ')}: gains of the one are not those of the other`];
  });
}
