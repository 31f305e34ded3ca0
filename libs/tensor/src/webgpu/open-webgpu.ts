import { DomainError } from '@surefoot/errors';
import type { BackendOptions, Opened } from '../opened';

/** WebGPU through Dawn. @throws DomainError failed_precondition if there is no adapter here */
export function openWebgpu(_options: BackendOptions): Promise<Opened> {
  return Promise.reject(new DomainError('failed_precondition', 'backend webgpu is not available in this build yet'));
}
