import type { ExperimentConfig, Method, ScorerLocation } from './config';
import { evaluationSettings } from './pool';
import type { ReportedExperiment, ReportedFolder } from './reported-folder';

/** What the configurations say against the figures, a sentence each. */
export function configurationWarnings(folders: ReportedFolder[]): string[] {
  return [
    ...folders.flatMap((folder) => unfinishedWarnings(folder, folders.length > 1 ? `${folder.name}: ` : '')),
    ...new Set(evaluationWarnings(folders.flatMap(({ experiment }) => experiment?.config.methods ?? []))),
    ...[...new Set(folders.flatMap(({ experiment }) => (experiment ? judgeWarnings(experiment) : [])))],
    ...otherSurroundings(folders),
  ];
}

function unfinishedWarnings({ runs, experiment }: ReportedFolder, prefix: string): string[] {
  if (!experiment || runs.length >= experiment.planned) return [];
  return [`${prefix}${runs.length} of ${experiment.planned} planned runs have ended: the figures are those so far`];
}

/** Methods that meet other dice or lengths than the first. */
function evaluationWarnings([first, ...others]: Method[]): string[] {
  return others.flatMap(({ name, ppo }) => {
    const differing = evaluationSettings.filter((key) => ppo[key] !== first!.ppo[key]);
    return differing.length === 0
      ? []
      : [
          `${name} and ${first!.name} are evaluated with other ${differing.join(', ')}: gains of the one are not those of the other`,
        ];
  });
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
