import { DomainError } from '@surefoot/errors';
import type { ServiceProcess } from '../local/service-process';
import type { LocalServices } from '../local/services';
import type { Block, ExperimentConfig, ScorerLocation } from './config';
import type { ScorerAddresses } from './run-config';

/** The scorers of an experiment. */
export interface RunningScorers {
  /**
   * Where the scorers of a block listen; its ensemble is started by the first run that asks.
   *
   * @throws DomainError unavailable where it does not start
   */
  addressesOf(block: Block): Promise<ScorerAddresses>;
  /** Stops the ensemble of a block that no run needs for now. */
  release(block: Block): Promise<void>;
  /** Rejects when one of those that were started here ends unasked: its log says why. */
  failed: Promise<never>;
}

/** How many services of `startScorers` run at once, where `workers` take the runs block by block. */
export function scorerProcesses({ judge }: Pick<ExperimentConfig, 'judge'>, blocks: Block[], workers: number): number {
  const folders = blocks.filter(({ ensemble }) => ensemble && 'folder' in ensemble).length;
  return Math.min(folders, workers) + (judge && 'folder' in judge ? 1 : 0);
}

/**
 * Starts a service for the judge, where it is a model folder, and later one for each block's ensemble: an experiment may have more
 * blocks than fit in memory. Addresses are used as they are.
 */
export function startScorers(services: LocalServices, { judge }: Pick<ExperimentConfig, 'judge'>): RunningScorers {
  let fail: (error: DomainError) => void;
  const failed = new Promise<never>((_, reject) => (fail = reject));
  // Whoever waits for `failed` hears of it; until then nobody may.
  failed.catch(() => undefined);
  const released = new Set<ServiceProcess>();
  const start = async (service: 'reward-ensemble' | 'judge', name: string, folder: string) => {
    const child = await services.start(service, name, { SUREFOOT_MODEL: folder });
    void child.ended.then((reason) => {
      if (!released.has(child))
        fail(new DomainError('unavailable', `${name} ${reason}: see its log; go on with --resume`));
    });
    return child;
  };
  const locate = async (location: ScorerLocation | undefined, started: (folder: string) => Promise<ServiceProcess>) => {
    if (!location) return '';
    return 'address' in location ? location.address : (await started(location.folder)).address;
  };
  const judgeAddress = locate(judge, (folder) => start('judge', 'judge', folder));
  judgeAddress.catch(() => undefined); // thrown to whoever asks for addresses
  const ensembles = new Map<Block, Promise<ServiceProcess>>();
  const ensembleOf = (block: Block, folder: string) => {
    const running = ensembles.get(block) ?? start('reward-ensemble', `ensemble-${block.name}`, folder);
    ensembles.set(block, running);
    return running;
  };
  return {
    async addressesOf(block) {
      const ensembleAddress = locate(block.ensemble, (folder) => ensembleOf(block, folder));
      const [ensemble, judge] = await Promise.all([ensembleAddress, judgeAddress]);
      return { ensemble, judge };
    },
    async release(block) {
      const child = await ensembles.get(block);
      ensembles.delete(block);
      if (!child) return;
      released.add(child);
      await child.stop();
    },
    failed,
  };
}
