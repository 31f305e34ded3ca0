import { isDeepStrictEqual } from 'node:util';
import { DomainError } from '@surefoot/errors';
import type { PpoConfig } from '@surefoot/ppo';
import { groupBy, type RunRecord } from '@surefoot/risk';
import { ppoKeys } from './ppo-keys';
import type { ReportedFolder } from './reported-folder';

/** The runs of one folder among those of others. */
export interface PooledFolder extends ReportedFolder {
  /** As the folder has them, under the block names and indices of the report. */
  pooled: RunRecord[];
}

/** What decides, besides models and prompts, how a method's runs are evaluated. */
export const evaluationSettings = [
  'evaluationSeed',
  'evaluationSamples',
  'maxNewTokens',
  'temperature',
] as const satisfies (keyof PpoConfig)[];

/**
 * Runs of several experiments as those of one. Blocks with the same reward models, seeds, policy, prompts and evaluation are one block,
 * so that the methods of one folder are paired with those of another; all others are told apart by their folder. Blocks with the same
 * reward models that are apart all the same share an `ensemble`.
 *
 * @throws DomainError invalid_argument where two folders hold the same runs, or methods of one name with different settings
 */
export function poolFolders(folders: ReportedFolder[]): PooledFolder[] {
  refuseOtherSettings(folders);
  const blocks = nameBlocks(folders);
  let offset = 0;
  const pooled = folders.map((folder, i) => {
    const start = offset;
    offset += folder.runs.reduce((largest, { index }) => Math.max(largest, index), -1) + 1;
    const renamed = folder.runs.map((run) => ({ ...run, index: start + run.index, ...blocks[i]!.get(run.block)! }));
    return { ...folder, pooled: renamed };
  });
  refuseRepeats(pooled);
  return pooled;
}

type BlockName = Pick<RunRecord, 'block' | 'ensemble'>;

/** By folder and the name that the block has there. */
function nameBlocks(folders: ReportedFolder[]): Map<string, BlockName>[] {
  const blocks = folders.flatMap((folder, i) => {
    const own = [...new Set(folder.runs.map(({ block }) => block))];
    const keys = own.map((block) => blockKey(folder, block));
    return own.map((block, b) => ({
      ...{ i, block, ensemble: folder.experiment?.digests.ensembles[block] },
      // Blocks of one folder stay apart, whatever their reward models.
      key: `${keys[b]} ${keys.slice(0, b).filter((key) => key === keys[b]).length}`,
    }));
  });
  const names = new Map(
    [...groupBy(blocks, ({ key }) => key)].map(([key, [first, ...others]]) => {
      const isEverywhere = others.length === folders.length - 1;
      return [key, isEverywhere ? first!.block : `${folders[first!.i]!.name}/${first!.block}`];
    }),
  );
  const sharing = groupBy(blocks, ({ ensemble, key }) => ensemble ?? key);
  return folders.map(
    (_, i) =>
      new Map(
        blocks
          .filter((each) => each.i === i)
          .map(({ block, key, ensemble }) => {
            const alike = [...new Set(sharing.get(ensemble ?? key)!.map((each) => names.get(each.key)!))];
            return [block, { block: names.get(key)!, ...(alike.length > 1 && { ensemble: alike[0]! }) }];
          }),
      ),
  );
}

/** The same of blocks whose runs of equal number share seed, reward member and all else but the method. */
function blockKey({ folder, experiment }: ReportedFolder, block: string): string {
  const ensemble = experiment?.digests.ensembles[block];
  if (!experiment || !ensemble) return JSON.stringify([folder, block]);
  const { policy, prompts, evalPrompts, gold, judge } = experiment.digests;
  const { seed, methods } = experiment.config;
  const evaluations = new Set(methods.map(({ ppo }) => JSON.stringify(evaluationSettings.map((key) => ppo[key]))));
  return JSON.stringify([ensemble, seed, policy, prompts, evalPrompts, gold, judge, ...[...evaluations].sort()]);
}

function refuseOtherSettings(folders: ReportedFolder[]): void {
  const methods = folders.flatMap(({ folder, experiment }) =>
    (experiment?.config.methods ?? []).map(({ name, ppo }) => ({
      ...{ folder, name, settings: { ...ppoKeys(ppo), lora: experiment?.config.lora } as Record<string, unknown> },
    })),
  );
  for (const [name, [first, ...others]] of groupBy(methods, (method) => method.name))
    for (const { folder, settings } of others) {
      const keys = Object.keys(settings).filter((key) => !isDeepStrictEqual(settings[key], first!.settings[key]));
      if (keys.length > 0)
        throw new DomainError(
          'invalid_argument',
          `${name} is another method in ${first!.folder} than in ${folder}: ${keys.join(', ')} differ, so its runs cannot be counted together`,
        );
    }
}

/** The same evidence must not count twice. */
function refuseRepeats(folders: PooledFolder[]): void {
  const runs = folders.flatMap(({ folder, pooled }, i) => pooled.map((run) => ({ i, folder, run })));
  const places = groupBy(runs, ({ run: { method, block, run } }) => JSON.stringify([method, block, run]));
  const contents = groupBy(
    runs.filter(({ run }) => run.status === 'completed'),
    ({ run: { method, member, seed, ...run } }) =>
      run.status === 'completed' ? JSON.stringify([method, member, seed, run.initial, run.final, run.trajectory]) : '',
  );
  for (const [first, ...others] of [...places.values(), ...contents.values()]) {
    const again = others.find(({ i }) => i !== first!.i);
    if (again)
      throw new DomainError(
        'invalid_argument',
        `${first!.folder} and ${again.folder} hold the same runs (${first!.run.method}, seed ${first!.run.seed} among them), which would count twice: leave one of the folders out`,
      );
  }
}
