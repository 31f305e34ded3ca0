import { openBackend, type Backend, type BackendName } from '@surefoot/tensor';
import type { Context } from '../command';
import { machine } from './machine';

/**
 * Opens what a command computes with in its own thread. With `SUREFOOT_LOG_LEVEL=debug` stderr gets a line that says which.
 *
 * @param parameters of the model that it will load
 * @throws DomainError failed_precondition as openBackend; invalid_argument where the environment is wrong
 */
export async function openForModel(
  name: BackendName,
  { env, terminal }: Context,
  parameters: number,
): Promise<Backend> {
  const { threads, requireGpu } = machine(env);
  const backend = await openBackend(name, { threads, requireGpu, parameters });
  if (env['SUREFOOT_LOG_LEVEL'] === 'debug') terminal.note(describeBackend(backend));
  return backend;
}

/** Which backend, release, device, threads and kernels, and why, in a line. */
export function describeBackend({ name, version, device, threads, kernelBuild, reason }: Backend): string {
  return `${name} ${version} on ${device}, ${kernelBuild} kernels, threads: ${threads}; ${reason}`;
}
