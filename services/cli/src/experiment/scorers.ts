import { DomainError } from '@surefoot/errors';
import type { LocalServices } from '../local/services';
import type { Block, ExperimentConfig, ScorerLocation } from './config';
import type { ScorerAddresses } from './run-config';

/** The scorers of an experiment, running. */
export interface RunningScorers {
  addressesOf(block: Block): ScorerAddresses;
  /** Rejects when one of those that were started here ends: its log says why. */
  failed: Promise<never>;
}

/** How many services `startScorers` starts. */
export function scorerProcesses({ judge }: Pick<ExperimentConfig, 'judge'>, blocks: Block[]): number {
  return [judge, ...blocks.map(({ ensemble }) => ensemble)].filter((each) => each && 'folder' in each).length;
}

/** Starts a service for every model folder that the blocks and the judge name; addresses are used as they are. */
export async function startScorers(
  services: LocalServices,
  { judge }: Pick<ExperimentConfig, 'judge'>,
  blocks: Block[],
): Promise<RunningScorers> {
  const ends: Promise<never>[] = [];
  const start = async (service: 'reward-ensemble' | 'judge', name: string, location: ScorerLocation) => {
    if ('address' in location) return location.address;
    const child = await services.start(service, name, { SUREFOOT_MODEL: location.folder });
    const end = child.ended.then((reason) => {
      throw new DomainError('unavailable', `${name} ${reason}: see its log; go on with --resume`);
    });
    // Whoever waits for `failed` hears of it; until then nobody may.
    end.catch(() => undefined);
    ends.push(end);
    return child.address;
  };
  const [judgeAddress, ...ensembleAddresses] = await Promise.all([
    judge ? start('judge', 'judge', judge) : '',
    ...blocks.map(({ name, ensemble }) => (ensemble ? start('reward-ensemble', `ensemble-${name}`, ensemble) : '')),
  ]);
  const failed = Promise.race(ends);
  failed.catch(() => undefined);
  return {
    addressesOf: (block) => ({ ensemble: ensembleAddresses[blocks.indexOf(block)] ?? '', judge: judgeAddress ?? '' }),
    failed,
  };
}
