import { DomainError } from '@surefoot/errors';
import type { ModelIdentity } from '@surefoot/proto/surefoot/common/v1/common';
import type { ScorerDescription } from './scorer-kind';

/** Insists that all replicas of a pool serve the model of the first one: scores of two models must not be mixed. */
export class Agreement {
  private first: { address: string; description: ScorerDescription } | undefined;

  description(): ScorerDescription | undefined {
    return this.first?.description;
  }

  /** @throws DomainError failed_precondition */
  join(address: string, description: ScorerDescription): void {
    this.first ??= { address, description };
    this.check(address, description.model);
  }

  /** @throws DomainError failed_precondition */
  check(address: string, model: ModelIdentity | undefined): void {
    const { address: firstAddress, description } = this.first!;
    if (model?.digest === description.model.digest) return;
    const name = (of: ModelIdentity | undefined) => (of ? `${of.name}@${of.version}` : 'a model without a name');
    const serves = `${firstAddress} serves ${name(description.model)}, ${address} serves ${name(model)}`;
    throw new DomainError('failed_precondition', `${serves}: scores of different models must not be mixed`);
  }
}
