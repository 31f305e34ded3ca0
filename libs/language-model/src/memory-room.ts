import { DomainError } from '@surefoot/errors';
import { currentBackend, uncountedMomentBytes } from '@surefoot/tensor';
import * as tf from '@tensorflow/tfjs';
import type { ModelConfig } from './config';
import {
  gradientBytes,
  momentBytes,
  scoringBytes,
  trainingBytes,
  weightBytes,
  type BatchShape,
} from './memory-estimate';

/** The part of the memory that is planned for: allocators leave gaps between tensors, and kernels need working memory. */
const usableShare = 0.85;

/** `training`: gradients are kept too, while the optimizer's moments are there already. */
export type Purpose = 'training' | 'scoring';

/** Bytes that new tensors may take on the open backend. */
export function freeBytes(): number {
  return Math.max(0, usableShare * currentBackend().memoryBytes - heldBytes());
}

/** What tensors and the moments of optimizers hold. */
function heldBytes(): number {
  return tf.memory().numBytes + uncountedMomentBytes();
}

/**
 * Refuses work that does not fit, before anything is allocated.
 *
 * @param what   the work, as it stands in the message
 * @param needs  bytes by what needs them
 * @param cure   what to do beside taking another backend
 * @throws DomainError resource_exhausted with all the numbers
 */
export function assertRoom(what: string, needs: Record<string, number>, cure: string): void {
  const total = Object.values(needs).reduce((sum, bytes) => sum + bytes, 0);
  const free = freeBytes();
  if (total <= free) return;
  const { name, memoryBytes } = currentBackend();
  const parts = Object.entries(needs).map(([part, bytes]) => `${inUnits(bytes)} for ${part}`);
  throw new DomainError(
    'resource_exhausted',
    `${what} needs ${parts.join(' and ')}; backend ${name} has ${inUnits(memoryBytes)}, of which ${inUnits(free)} are left to ` +
      `plan with (tensors hold ${inUnits(heldBytes())}, a share is kept for gaps): ${cure}, or choose a backend with more memory`,
  );
}

/** Refuses a model whose parameters do not fit. @throws DomainError resource_exhausted */
export function assertWeightsFit(config: ModelConfig, what = 'the model'): void {
  assertRoom(what, { [`the weights of ${parametersOf(config)}`]: weightBytes(config) }, 'use a smaller model');
}

/**
 * Refuses the training of a model that is on the backend where its optimizer, its gradients and the smallest micro-batch do
 * not fit.
 *
 * @param smallest the micro-batch that cannot be divided; default none, where it is not known yet
 * @throws DomainError resource_exhausted
 */
export function assertTrainable(config: ModelConfig, smallest?: BatchShape): void {
  const needs = {
    "the optimizer's moments": momentBytes(config),
    gradients: gradientBytes(config),
    ...(smallest && { [`the activations of ${describe(smallest)}`]: trainingBytes(config, smallest) }),
  };
  assertRoom(`training a model of ${parametersOf(config)}`, needs, 'use shorter sequences or a smaller model');
}

/**
 * Splits a batch into the fewest equal runs of consecutive items (one, two, four, …) that fit in memory one after the other.
 *
 * Halving makes the choice coarse, so that it seldom changes with how much memory happens to be free: where gradients are
 * summed over micro-batches, their number changes the last bits.
 *
 * @param items   at least one
 * @param shapeOf the batch that some of them make
 * @throws DomainError resource_exhausted if one item alone does not fit
 */
export function microBatches<Item>(
  config: ModelConfig,
  items: Item[],
  shapeOf: (items: Item[]) => BatchShape,
  purpose: Purpose,
): Item[][] {
  const room = roomFor(config, purpose);
  for (let size = items.length; ; size = Math.ceil(size / 2)) {
    const parts = runsOf(items, size);
    const tooLarge = parts.map(shapeOf).find((shape) => passBytes[purpose](config, shape) > room);
    if (!tooLarge) return parts;
    if (size === 1) assertPassFits(config, tooLarge, purpose);
  }
}

/**
 * How many padded tokens one pass over sequences may have, so that it fits in memory; a power of two where memory decides.
 *
 * @param options.longest     tokens of the longest sequence
 * @param options.limit       never more than this many tokens
 * @param options.together    sequences that cannot be parted, default 1; 2 for the halves of a pair
 * @throws DomainError resource_exhausted if not even `together` sequences of `longest` tokens fit
 */
export function tokensThatFit(
  config: ModelConfig,
  options: { longest: number; limit: number; together?: number; purpose: Purpose },
): number {
  const { longest, limit, together = 1, purpose } = options;
  const outputs = config.head === 'reward' ? 1 : longest;
  const shape = (sequences: number) => ({ sequences, width: longest, outputs: sequences * outputs });
  assertPassFits(config, shape(together), purpose);
  const fit = Math.floor(roomFor(config, purpose) / passBytes[purpose](config, shape(1))) * longest;
  return fit >= limit ? limit : Math.max(together * longest, 2 ** Math.floor(Math.log2(fit)));
}

const passBytes = { training: trainingBytes, scoring: scoringBytes };

/** Bytes for the activations of one pass. */
function roomFor(config: ModelConfig, purpose: Purpose): number {
  return freeBytes() - Object.values(besideActivations(config, purpose)).reduce((sum, bytes) => sum + bytes, 0);
}

/** What a pass needs beside its activations and what is held already. */
function besideActivations(config: ModelConfig, purpose: Purpose): Record<string, number> {
  return purpose === 'scoring' ? {} : { gradients: gradientBytes(config) };
}

function assertPassFits(config: ModelConfig, shape: BatchShape, purpose: Purpose): void {
  const needs = {
    [`the activations of ${describe(shape)}`]: passBytes[purpose](config, shape),
    ...besideActivations(config, purpose),
  };
  assertRoom(`${purpose} with a model of ${parametersOf(config)}`, needs, 'use shorter sequences or a smaller model');
}

function runsOf<Item>(items: Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
}

function describe({ sequences, width }: BatchShape): string {
  return sequences === 1 ? `one sequence of ${width} tokens` : `${sequences} sequences of ${width} tokens`;
}

function parametersOf(config: ModelConfig): string {
  return `${(weightBytes(config) / 4).toLocaleString('en')} parameters`;
}

function inUnits(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${Number((bytes / 1024 ** power).toPrecision(3))} ${units[power]}`;
}
