import type { FitOptions } from '@surefoot/reward';
import { z } from 'zod';
import { UsageError } from './failure';
import { flag, flagName, integer, number, option, texts, type OptionValues } from './option';

/** The options of `reward train` that decide what kind of members are fitted. */
export const kindOptions = {
  kind: option('<kind>', 'full, heads or adapters', z.enum(['full', 'heads', 'adapters']).default('full')),
  tuneTrunk: option('', 'heads: fit the trunk to the pairs first, then freeze it', flag),
  tuneEpochs: option('<n>', 'heads: passes over the pairs for the trunk; default --epochs', integer().optional()),
  tuneLearningRate: option(
    '<x>',
    'heads: peak of AdamW for the trunk; default --learning-rate',
    number({ above: 0 }).optional(),
  ),
  headPull: option(
    '<x>',
    'heads: weight of the squared distance from where a head began',
    number({ min: 0 }).optional(),
  ),
  loraR: option('<n>', 'adapters: rank; default 8', integer({ max: 65_536 }).optional()),
  loraAlpha: option('<x>', 'adapters: scale times rank; default 2 r', number({ above: 0 }).optional()),
  loraTargets: option(
    '<modules...>',
    'adapters: names, a regular expression, or all-linear (default)',
    texts.optional(),
  ),
  loraRslora: option('', 'adapters: scale by alpha / sqrt(r)', flag),
};

type KindValues = OptionValues<typeof kindOptions> & {
  base?: string;
  epochs: number;
  learningRate: number;
  weights: 'auto' | 'f32' | 'bf16-mapped';
};

const ofKind = {
  full: [],
  heads: ['tuneTrunk', 'tuneEpochs', 'tuneLearningRate', 'headPull'],
  adapters: ['loraR', 'loraAlpha', 'loraTargets', 'loraRslora'],
} as const;

/**
 * What of a fit its kind decides.
 *
 * @throws UsageError naming an option of another kind, or one that another must go with
 */
export function kindOfFit(values: KindValues): Pick<FitOptions, 'kind' | 'heads' | 'adapters' | 'weights'> {
  const { kind, base, weights } = values;
  for (const other of ['heads', 'adapters'] as const)
    for (const name of ofKind[other])
      if (other !== kind && values[name] !== undefined && values[name] !== false)
        throw new UsageError(`${flagName(name)} is an option of --kind ${other}, this is --kind ${kind}`);
  if (kind === 'adapters' && base === undefined)
    throw new UsageError('--kind adapters needs --base, the model they change');
  if (weights === 'bf16-mapped' && (kind === 'full' || values.tuneTrunk))
    throw new UsageError(
      '--weights bf16-mapped is for weights that are not trained: of --kind adapters, or heads without --tune-trunk',
    );
  if (kind === 'heads') return { kind, weights, heads: headsOptions(values) };
  return kind === 'adapters' ? { kind, weights, adapters: adapterOptions(values) } : { kind, weights };
}

function headsOptions(values: KindValues): FitOptions['heads'] {
  const { base, tuneTrunk, tuneEpochs, tuneLearningRate, headPull: pull = 0, epochs, learningRate } = values;
  if (!tuneTrunk && (tuneEpochs !== undefined || tuneLearningRate !== undefined))
    throw new UsageError('--tune-epochs and --tune-learning-rate go with --tune-trunk');
  if (!tuneTrunk && base === undefined)
    throw new UsageError('heads on a trunk of random weights learn next to nothing: add --tune-trunk, or give --base');
  const tuning = { epochs: tuneEpochs ?? epochs, learningRate: tuneLearningRate ?? learningRate };
  return { pull, tuneTrunk: tuneTrunk ? tuning : null };
}

function adapterOptions({ loraR, loraAlpha, loraTargets, loraRslora }: KindValues): FitOptions['adapters'] {
  const [only] = loraTargets?.length === 1 ? loraTargets : [];
  // One text that is no module name is a pattern, as PEFT takes it.
  const isPattern = only !== undefined && (only === 'all-linear' || !/^[\w.]+$/.test(only));
  return {
    ...(loraR !== undefined && { r: loraR }),
    ...(loraAlpha !== undefined && { alpha: loraAlpha }),
    ...(loraTargets && { targetModules: isPattern ? only : loraTargets }),
    ...(loraRslora && { rslora: true }),
  };
}
