import { DomainError } from '@surefoot/errors';
import { regularise } from '@surefoot/ppo';
import type { ExperimentConfig, Method, ScorerLocation } from './config';

/**
 * Refuses a run that the ensemble cannot serve, before anything starts: by its mode's own rules, on scores of nothing.
 *
 * @param members K
 * @throws DomainError naming file, key and block
 */
export function refuseUnfit(
  { method, member, block }: { method: Method; member: number; block: { name: string; ensemble?: ScorerLocation } },
  members: number,
  { file = 'the experiment' }: Pick<ExperimentConfig, 'file'>,
): void {
  const config = { ...method.ppo, member };
  const scores = { members: Array<number>(members).fill(0), variance: members > 1 ? 1 : null };
  try {
    regularise(scores, { hasEos: true, beta: config.beta, config });
  } catch (error) {
    if (!(error instanceof DomainError)) throw error;
    const key = error.kind === 'invalid_argument' ? 'member' : `method ${method.name}`;
    const { ensemble } = block;
    const where = ensemble ? ` (ensemble ${'folder' in ensemble ? ensemble.folder : ensemble.address})` : '';
    throw new DomainError(error.kind, `${file}: ${key}: ${error.message}${where}`, { cause: error });
  }
}

/**
 * Refuses scorers in folders, where a trainer service is to use them.
 *
 * @param places by their keys in the file
 * @throws DomainError invalid_argument naming file and keys
 */
export function refuseFolders(
  places: (readonly [key: string, location: ScorerLocation | undefined])[],
  file = 'the experiment',
): void {
  const folders = places.flatMap(([key, location]) =>
    location && 'folder' in location ? [`${key}: ${location.folder}`] : [],
  );
  if (folders.length === 0) return;
  throw new DomainError(
    'invalid_argument',
    `${file}: ${folders.join(', ')}: a trainer service opens no folder of a scorer: give HOST:PORT, or leave the key out where the service has its own`,
  );
}
