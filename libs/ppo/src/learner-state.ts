import * as tf from '@tensorflow/tfjs';
import { DomainError } from '@surefoot/errors';
import { trainableParameters } from '@surefoot/language-model';
import type { AdamW, StoredTensor } from '@surefoot/tensor';
import type { Learner } from './learner';

/** A learner between two iterations, as a checkpoint keeps it. */
export interface LearnerState {
  /** Policy, value network and both optimizers' moments by name, float32 as they are. */
  tensors: Map<string, StoredTensor>;
  /** Kept apart from the tensors because beta needs float64; JSON restores each exactly. */
  numbers: { beta: number; skippedInARow: number; policySteps: number; valueSteps: number };
}

interface TrainedPart {
  prefix: 'policy' | 'value';
  parameters: ReadonlyMap<string, tf.Variable>;
  optimizer: AdamW;
}

function trainedParts(learner: Learner): TrainedPart[] {
  return [
    { prefix: 'policy', parameters: trainableParameters(learner.policy), optimizer: learner.policyOptimizer },
    { prefix: 'value', parameters: learner.valueNetwork.parameters, optimizer: learner.valueOptimizer },
  ];
}

/**
 * Copies the learner's state; a learner that restores it continues with the same bits.
 *
 * Tensors: none are created or kept.
 */
export async function learnerState(learner: Learner): Promise<LearnerState> {
  const tensors = new Map<string, StoredTensor>();
  const store = async (name: string, { shape, data }: StoredSource) =>
    tensors.set(name, { shape: [...shape], data: new Float32Array(await data()) });
  for (const { prefix, parameters, optimizer } of trainedParts(learner)) {
    const { first, second } = optimizer.state();
    let index = 0;
    for (const [name, parameter] of parameters) {
      await store(`${prefix}/${name}`, source(parameter));
      await store(`${prefix}.first-moment/${name}`, source(first[index]!));
      await store(`${prefix}.second-moment/${name}`, source(second[index++]!));
    }
  }
  const { beta, skippedInARow, policyOptimizer, valueOptimizer } = learner;
  const numbers = { beta, skippedInARow, policySteps: policyOptimizer.steps, valueSteps: valueOptimizer.steps };
  return { tensors, numbers };
}

interface StoredSource {
  shape: number[];
  data: () => Promise<ArrayLike<number>>;
}
const source = (tensor: tf.Tensor): StoredSource => ({ shape: tensor.shape, data: () => tensor.data() });

/**
 * Puts a learner of the same policy and configuration into a stored state, exactly.
 *
 * @throws DomainError failed_precondition naming what is missing, of another shape, not finite or not known; the learner is
 *   then as it was
 */
export function restoreLearner(learner: Learner, { tensors, numbers }: LearnerState): void {
  const expected = new Map<string, number[]>();
  for (const { prefix, parameters } of trainedParts(learner))
    for (const [name, { shape }] of parameters)
      for (const kind of ['', '.first-moment', '.second-moment']) expected.set(`${prefix}${kind}/${name}`, shape);
  checkState(expected, { tensors, numbers });

  const data = (name: string) => tensors.get(name)!.data;
  for (const { prefix, parameters, optimizer } of trainedParts(learner)) {
    for (const [name, parameter] of parameters)
      tf.tidy(() => parameter.assign(tf.tensor(data(`${prefix}/${name}`), parameter.shape)));
    const moment = (which: string) => [...parameters.keys()].map((name) => data(`${prefix}.${which}-moment/${name}`));
    optimizer.restore({ steps: numbers[`${prefix}Steps`], first: moment('first'), second: moment('second') });
  }
  learner.beta = numbers.beta;
  learner.skippedInARow = numbers.skippedInARow;
}

function checkState(expected: Map<string, number[]>, { tensors, numbers }: LearnerState): void {
  const problems: string[] = [];
  for (const [name, shape] of expected) {
    const stored = tensors.get(name);
    if (!stored) problems.push(`${name} is missing`);
    else if (stored.shape.join() !== shape.join())
      problems.push(`${name} has the shape [${stored.shape}], the learner's is [${shape}]`);
    else if (!stored.data.every(Number.isFinite)) problems.push(`${name} holds numbers that are not finite`);
  }
  for (const name of tensors.keys()) if (!expected.has(name)) problems.push(`${name} is unknown`);
  const { beta, ...counts } = numbers;
  if (!(Number.isFinite(beta) && beta > 0)) problems.push(`beta is ${beta}`);
  for (const [name, count] of Object.entries(counts))
    if (!(Number.isInteger(count) && count >= 0)) problems.push(`${name} is ${count}`);
  if (problems.length > 0)
    throw new DomainError(
      'failed_precondition',
      `the checkpoint does not fit this policy and configuration: ${summary(problems)}`,
    );
}

// A checkpoint of another model differs in everything; the first few say enough.
function summary(problems: string[]): string {
  const shown = problems.slice(0, 5).join('; ');
  return problems.length > 5 ? `${shown}; and ${problems.length - 5} more` : shown;
}
