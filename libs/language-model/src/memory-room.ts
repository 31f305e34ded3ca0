import { DomainError } from '@surefoot/errors';
import { currentBackend, heldBytes, isBfloat16 } from '@surefoot/tensor';
import type { ModelConfig } from './config';
import {
  checkpointedBytes,
  gradientBytes,
  momentBytes,
  scoringBytes,
  trainingBytes,
  weightBytes,
  type BatchShape,
} from './memory-estimate';
import { trainableParameters, type LanguageModel } from './model';
import { isLarge } from './parameters';

/** The part of the memory that is planned for: allocators leave gaps between tensors, and kernels need working memory. */
const usableShare = 0.85;

/** `training`: gradients are kept too, while the optimizer's moments are there already. */
export type Purpose = 'training' | 'scoring';

/** How a model is trained, as far as its memory goes; what is absent is as of a model that is trained whole. */
export interface TrainingPlan {
  /** Numbers that are trained. */
  trained?: number;
  /** Only blocks are taped, never a pass as a whole. */
  isCheckpointed?: boolean;
}

/**
 * The plan of a model. It is checkpointed where its weights are held as BF16, and on a CPU wherever `auto` would hold them so, in
 * whatever form they are: of an adapter's training a large tape is most of what memory there is beside the weights.
 */
export function trainingPlan(model: LanguageModel): TrainingPlan {
  const { config, parameters, adapter } = model;
  const trained = [...trainableParameters(model).values()].reduce((sum, { size }) => sum + size, 0);
  const isLargeAndFrozen = adapter !== undefined && isLarge(config) && !currentBackend().isGpu;
  return { trained, isCheckpointed: isLargeAndFrozen || [...parameters.values()].some(isBfloat16) };
}

/**
 * Whether a batch's pass for the gradients fits in memory whole. Where `microBatches` found that it does, it does: what is held
 * may have grown a little since.
 */
export function fitsOnTape(model: LanguageModel, shape: BatchShape): boolean {
  const plan = trainingPlan(model);
  return !plan.isCheckpointed && trainingBytes(model.config, shape) <= 1.1 * roomFor(model.config, 'training', plan);
}

/** Bytes that new tensors may take on the open backend. */
export function freeBytes(): number {
  return Math.max(0, usableShare * currentBackend().memoryBytes - heldBytes());
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
export function assertTrainable(config: ModelConfig, smallest?: BatchShape, plan: TrainingPlan = {}): void {
  const needs = {
    "the optimizer's moments": momentBytes(config, plan.trained),
    gradients: gradientBytes(config, plan.trained),
    ...(smallest && { [`the activations of ${describe(smallest)}`]: leastBytes(config, smallest, 'training') }),
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
 *
 * Training is checkpointed only where it must be: where not even one item fits on a tape.
 */
export function microBatches<Item>(
  config: ModelConfig,
  items: Item[],
  shapeOf: (items: Item[]) => BatchShape,
  purpose: Purpose,
  plan: TrainingPlan = {},
): Item[][] {
  const room = roomFor(config, purpose, plan);
  for (const bytesOf of ways(purpose, plan))
    for (let size = items.length; ; size = Math.ceil(size / 2)) {
      const parts = runsOf(items, size);
      if (parts.every((part) => bytesOf(config, shapeOf(part)) <= room)) return parts;
      if (size === 1) break;
    }
  for (const item of items) assertPassFits(config, shapeOf([item]), purpose, plan);
  return runsOf(items, 1);
}

/**
 * How many padded tokens one pass over sequences may have, so that it fits in memory; a power of two where memory decides.
 *
 * @param options.longest     tokens of the longest sequence
 * @param options.limit       never more than this many tokens
 * @param options.together    sequences that cannot be parted, default 1; 2 for the halves of a pair
 * @param options.plan        of the training
 * @throws DomainError resource_exhausted if not even `together` sequences of `longest` tokens fit
 */
export function tokensThatFit(
  config: ModelConfig,
  options: { longest: number; limit: number; together?: number; purpose: Purpose; plan?: TrainingPlan },
): number {
  const { longest, limit, together = 1, purpose, plan = {} } = options;
  const outputs = config.head === 'reward' ? 1 : longest;
  const shape = (sequences: number) => ({ sequences, width: longest, outputs: sequences * outputs });
  assertPassFits(config, shape(together), purpose, plan);
  const room = roomFor(config, purpose, plan);
  const all = ways(purpose, plan);
  const bytesOf = all.find((way) => way(config, shape(together)) <= room) ?? all.at(-1)!;
  const fit = Math.floor(room / bytesOf(config, shape(1))) * longest;
  return fit >= limit ? limit : Math.max(together * longest, 2 ** Math.floor(Math.log2(fit)));
}

/** Estimates of the ways to run a pass, the preferred first, the one that needs least last. */
function ways(purpose: Purpose, { isCheckpointed = false }: TrainingPlan) {
  if (purpose === 'scoring') return [scoringBytes];
  return isCheckpointed ? [checkpointedBytes] : [trainingBytes, checkpointedBytes];
}

function leastBytes(config: ModelConfig, shape: BatchShape, purpose: Purpose): number {
  return Math.min(...ways(purpose, {}).map((bytesOf) => bytesOf(config, shape)));
}

/** Bytes for the activations of one pass. */
function roomFor(config: ModelConfig, purpose: Purpose, plan: TrainingPlan): number {
  return freeBytes() - Object.values(besideActivations(config, purpose, plan)).reduce((sum, bytes) => sum + bytes, 0);
}

/** What a pass needs beside its activations and what is held already. */
function besideActivations(config: ModelConfig, purpose: Purpose, { trained }: TrainingPlan): Record<string, number> {
  return purpose === 'scoring' ? {} : { gradients: gradientBytes(config, trained) };
}

function assertPassFits(config: ModelConfig, shape: BatchShape, purpose: Purpose, plan: TrainingPlan): void {
  const needs = {
    [`the activations of ${describe(shape)}`]: leastBytes(config, shape, purpose),
    ...besideActivations(config, purpose, plan),
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
