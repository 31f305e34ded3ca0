import { randomUUID } from 'node:crypto';
import * as tf from '@tensorflow/tfjs';
import { invalid } from '../checks';
import type { AdamWStep, Moments } from '../kernels';
import { execute, floatType, idOf, nativeBackend, shapeAttribute, stringAttribute, tensorOf } from './raw-ops';

/** A variable of TensorFlow's own, which its operations update in place; TensorFlow.js has no name for it. */
interface Resource {
  /** Of the handle. */
  id: number;
  shape: number[];
}

/**
 * Moments in resource variables: `ResourceApplyAdam` updates a parameter and both moments in one pass over memory.
 *
 * Parameters stay variables of TensorFlow.js: each step hands their values to a resource and takes the new ones back. TensorFlow
 * shares values between both and copies before it writes to what is shared, so whoever holds old values keeps them.
 */
export function resourceMoments(parameters: tf.Variable[]): Moments {
  const shapes = parameters.map(({ shape }) => shape);
  const made: Resource[] = [];
  let shown: tf.Tensor[] = [];

  function create(shape: number[]): Resource {
    const resource = createResource(shape);
    made.push(resource);
    return resource;
  }

  function zeros(shape: number[]): Resource {
    const moment = create(shape);
    tf.tidy(() => assign(moment, tf.zeros(shape)));
    return moment;
  }

  function forget(): void {
    tf.dispose(shown);
    shown = [];
  }

  function dispose(): void {
    forget();
    made.splice(0).forEach(destroy);
  }

  function all(): Record<'targets' | 'first' | 'second', Resource[]> {
    try {
      return { targets: shapes.map(create), first: shapes.map(zeros), second: shapes.map(zeros) };
    } catch (error) {
      dispose();
      throw error;
    }
  }

  function load(into: Resource[], tensors: tf.Tensor[]): void {
    into.forEach((resource, i) => assign(resource, tensors[i]!));
  }

  const { targets, first, second } = all();
  return {
    step(gradients, step) {
      checkBetas(step);
      forget();
      tf.tidy(() => {
        const numbers = adamNumbers(step).map((number) => idOf(tf.scalar(number)));
        parameters.forEach((parameter, i) => {
          const target = targets[i]!;
          assign(target, step.decay === 1 ? parameter : tf.mul(parameter, step.decay));
          const inputs = [target.id, first[i]!.id, second[i]!.id, ...numbers, idOf(gradients[i]!)];
          execute('ResourceApplyAdam', inputs, [floatType('T')]);
          parameter.assign(read(target));
        });
      });
    },
    read() {
      forget();
      shown = [...first, ...second].map((resource) => tf.keep(read(resource)));
      return { first: shown.slice(0, first.length), second: shown.slice(first.length) };
    },
    write(state) {
      forget();
      tf.tidy(() => {
        load(
          first,
          shapes.map((shape, i) => tf.tensor(state.first[i]!.slice(), shape)),
        );
        load(
          second,
          shapes.map((shape, i) => tf.tensor(state.second[i]!.slice(), shape)),
        );
      });
    },
    dispose,
  };
}

/**
 * The scalars of ResourceApplyAdam, `p -= lr m / (sqrt(v) + epsilon)` where both powers of beta are 0, for the step
 * `p = p decay - rate m / (sqrt(v) rootScale + epsilon)`.
 *
 * TensorFlow takes 1 - beta of the beta rounded to float32, for 0.999 off by 1.3e-5: the moments it builds are too large or small
 * by that constant share, which is divided out here.
 */
function adamNumbers({ beta1, beta2, rate, rootScale, epsilon }: AdamWStep): number[] {
  const share = (beta: number) => (1 - Math.fround(beta)) / (1 - beta);
  const scale = rootScale / Math.sqrt(share(beta2));
  return [0, 0, rate / share(beta1) / scale, beta1, beta2, epsilon / scale];
}

/** Nothing of a gradient would reach a moment. */
function checkBetas({ beta1, beta2 }: AdamWStep): void {
  for (const [name, beta] of Object.entries({ beta1, beta2 }))
    if (Math.fround(beta) === 1)
      throw invalid(
        `AdamW: ${name} is ${beta}, which is 1 in the float32 of backend tensorflow: use 0.9999999 or less`,
      );
}

function createResource(shape: number[]): Resource {
  const name = stringAttribute('shared_name', `surefoot-${randomUUID()}`);
  const [id] = execute('VarHandleOp', [], [floatType('dtype'), shapeAttribute('shape', shape), name], 1);
  return { id: id!, shape };
}

function assign({ id }: Resource, tensor: tf.Tensor): void {
  execute('AssignVariableOp', [id, idOf(tensor)], [floatType('dtype')]);
}

function read({ id, shape }: Resource): tf.Tensor {
  const [value] = execute('ReadVariableOp', [id], [floatType('dtype')], 1);
  return tensorOf(value!, shape);
}

function destroy({ id }: Resource): void {
  execute('DestroyResourceOp', [id], []);
  nativeBackend().binding.deleteTensor(id);
}
