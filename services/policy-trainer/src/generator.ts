import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { isAdapterFolder, readAdapterConfig, type WeightForm } from '@surefoot/language-model';
import type { GenerateRequest } from '@surefoot/proto/surefoot/policy/v1/policy_trainer';
import type { Logger } from '@surefoot/service';
import { createCompute } from './compute';
import type { ComputeSettings } from './compute-thread';
import { resolveDataPath } from './data-path';
import type { GeneratedResponse, GenerationJob } from './generate';
import { readSettings, runFiles, runFolder } from './run-folder';

/** Samples from policies, one call at a time, in a thread beside the one that trains. */
export interface Generator {
  /** @throws DomainError invalid_argument, not_found, resource_exhausted while another call computes */
  generate(
    request: GenerateRequest,
    onResponse: (response: GeneratedResponse) => void,
    signal: AbortSignal,
  ): Promise<void>;
  close(): Promise<void>;
}

const limits = { prompts: 256, promptCharacters: 65_536, maxNewTokens: 4096 };
const defaultNewTokens = 128;

export function createGenerator(options: {
  computing: ComputeSettings;
  weights: WeightForm;
  runsDirectory: string;
  dataDirectory: string;
  logger: Logger;
}): Generator {
  const { computing, weights, runsDirectory, dataDirectory, logger } = options;
  const compute = createCompute(computing, logger);
  let busy = false;
  return {
    async generate(request, onResponse, signal) {
      checkRequest(request);
      const { policy, adapter } =
        request.runId === ''
          ? await policyInData(dataDirectory, request.policy)
          : await finalPolicy(runsDirectory, dataDirectory, request.runId);
      if (busy)
        throw new DomainError('resource_exhausted', 'another Generate call computes: try again when it has ended');
      busy = true;
      const stop = new SharedArrayBuffer(4);
      const onAbort = () => Atomics.store(new Int32Array(stop), 0, 1);
      signal.addEventListener('abort', onAbort);
      try {
        const call = await compute.thread({ responseDone: onResponse, warn: (message) => logger.warn(message) });
        const { prompts, maxNewTokens, temperature, seed } = request;
        await call('generate', {
          ...{ policy, adapter },
          // A run that trains all weights leaves them as float32, whatever the service's default.
          weights: request.runId !== '' && !adapter ? 'auto' : weights,
          prompts,
          maxNewTokens: maxNewTokens || defaultNewTokens,
          temperature,
          seed,
          stop,
        });
      } finally {
        signal.removeEventListener('abort', onAbort);
        busy = false;
      }
    },
    close: () => compute.close(),
  };
}

function checkRequest({ prompts, maxNewTokens, temperature }: GenerateRequest): void {
  const problems: string[] = [];
  if (prompts.length < 1 || prompts.length > limits.prompts)
    problems.push(`prompts: ${prompts.length} given, 1..${limits.prompts} are accepted`);
  prompts.forEach((prompt, index) => {
    if (prompt.length < 1 || prompt.length > limits.promptCharacters)
      problems.push(`prompts[${index}] has ${prompt.length} characters, 1..${limits.promptCharacters} are accepted`);
  });
  if (maxNewTokens > limits.maxNewTokens)
    problems.push(`max_new_tokens is ${maxNewTokens}, 0..${limits.maxNewTokens} are accepted`);
  if (!(temperature >= 0 && temperature < Infinity))
    problems.push(`temperature is ${temperature}, a number of at least 0 is needed`);
  if (problems.length > 0) throw new DomainError('invalid_argument', problems.slice(0, 10).join('; '));
}

/** A model folder, and the folder of the adapter on it. */
type PolicyFolders = Pick<GenerationJob, 'policy' | 'adapter'>;

/** A folder under the data directory; the base of an adapter lies there too. */
async function policyInData(dataDirectory: string, path: string): Promise<PolicyFolders> {
  const folder = await resolveDataPath(dataDirectory, path, { field: 'policy', kind: 'folder' });
  if (!isAdapterFolder(folder)) return { policy: folder, adapter: null };
  const { base = '' } = await readAdapterConfig(folder);
  const what = { field: 'base_model_name_or_path of policy', kind: 'folder' } as const;
  return { policy: await resolveDataPath(dataDirectory, base && resolve(folder, base), what), adapter: folder };
}

/** The final policy of a run; an adapter's base is what the run started from. */
async function finalPolicy(runsDirectory: string, dataDirectory: string, id: string): Promise<PolicyFolders> {
  const run = runFolder(runsDirectory, id);
  const folder = join(run, runFiles.model);
  if (!(await stat(folder).catch(() => undefined)))
    throw new DomainError('not_found', `run ${id} does not exist or has no final policy yet`);
  if (!isAdapterFolder(folder)) return { policy: folder, adapter: null };
  const { policy = '' } = (await readSettings(run)) ?? {};
  return { policy: await resolveDataPath(dataDirectory, policy, { field: 'policy', kind: 'folder' }), adapter: folder };
}
