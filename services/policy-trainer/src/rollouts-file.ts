import { open } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { DomainError } from '@surefoot/errors';
import { fileError } from '@surefoot/files';
import type { SampledRollout } from './sampling';
import type { Scores } from './training-job';

/** rollouts.jsonl.gz, a gzip member an iteration, so that it can be cut back to a checkpoint. */
export interface RolloutsFile {
  /** Appends an iteration's rollouts; returns the file's bytes. */
  append(iteration: number, rollouts: SampledRollout[], scores: Scores): Promise<number>;
  close(): Promise<void>;
}

/** Opens the file to go on after `bytes` bytes. @throws DomainError failed_precondition where it has fewer */
export async function openRolloutsFile(path: string, bytes: number): Promise<RolloutsFile> {
  const handle = await open(path, 'a').catch((error: unknown) => {
    throw fileError(error, 'write', path);
  });
  if ((await handle.stat()).size < bytes) {
    await handle.close();
    throw new DomainError(
      'failed_precondition',
      `${path} is shorter than at its checkpoint: start the run under another id`,
    );
  }
  await handle.truncate(bytes);
  let size = bytes;
  return {
    async append(iteration, rollouts, { members, judge }) {
      const lines = rollouts.map(({ prompt, response, hasEos, gold }, index) =>
        JSON.stringify({
          iteration,
          index,
          prompt: prompt.prompt,
          response,
          hasEos,
          scores: members[index],
          judge: judge[index],
          gold,
        }),
      );
      const data = gzipSync(`${lines.join('\n')}\n`, { level: 1 });
      try {
        await handle.appendFile(data);
        await handle.datasync();
      } catch (error) {
        throw fileError(error, 'write', path);
      }
      return (size += data.length);
    },
    close: () => handle.close(),
  };
}
