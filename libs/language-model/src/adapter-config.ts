import { DomainError } from '@surefoot/errors';
import type { LanguageModel } from './model';
import { familyOf } from './parameters';

/** What an adapter changes and how strongly; adapter_config.json as PEFT writes it. */
export interface AdapterConfig {
  /** Where no pattern says otherwise. */
  rank: number;
  /** Where no pattern says otherwise. */
  alpha: number;
  /** The change is scaled by `alpha / sqrt(rank)` and not by `alpha / rank`. */
  isRankStabilised: boolean;
  /** Names or ends of names of modules; a regular expression; `all-linear`; undefined: what PEFT takes for the family. */
  targets?: string[] | string;
  /** Modules that no target reaches: names or ends of names, or a regular expression. */
  excluded: string[] | string;
  /** Layers whose modules are changed; undefined: all. */
  layers?: number[];
  /** Patterns of what stands before a layer's number; none: anything. */
  layersPatterns: string[];
  /** Patterns of ends of names, and the rank of the modules that match; the first counts. */
  rankPatterns: [string, number][];
  alphaPatterns: [string, number][];
  /** Ends of names of modules that are trained whole. */
  modulesToSave: string[];
  /** The score head of `SEQ_CLS` is always trained whole. */
  task?: 'CAUSAL_LM' | 'SEQ_CLS';
  /** Folder or name of the model it belongs to, as written. */
  base?: string;
  /** As read, so that writing keeps what is not ours. */
  raw: Record<string, unknown>;
}

/** What a new adapter is asked to be. */
export interface AdapterSettings {
  /** 1 to 65,536; PEFT's default is 8. */
  r: number;
  /** Default `2 r`. */
  alpha?: number;
  /** Default `all-linear`. */
  targetModules?: string[] | string;
  /** Default false. */
  rslora?: boolean;
  /** Default none; of a reward model always `score`. */
  modulesToSave?: string[];
}

/** Options that change what is computed in ways that are not computed here; their values mean "no". */
const refused = [
  'use_dora',
  'use_qalora',
  'use_bdlora',
  'lora_bias',
  'layer_replication',
  'target_parameters',
  'trainable_token_indices',
  'alora_invocation_tokens',
  'arrow_config',
  'kasa_config',
  'monteclora_config',
  'velora_config',
  'ensure_weight_tying',
];
/** Options that matter to initialisation, sharding or bookkeeping only. */
const harmless = [
  'auto_mapping',
  'base_model_name_or_path',
  'corda_config',
  'eva_config',
  'fan_in_fan_out',
  'inference_mode',
  'loftq_config',
  'lora_dropout',
  'lora_ga_config',
  'megatron_config',
  'megatron_core',
  'peft_version',
  'qalora_group_size',
  'revision',
  'runtime_config',
];
const read = [
  'alpha_pattern',
  'bias',
  'exclude_modules',
  'init_lora_weights',
  'layers_pattern',
  'layers_to_transform',
  'lora_alpha',
  'modules_to_save',
  'peft_type',
  'r',
  'rank_pattern',
  'target_modules',
  'task_type',
  'use_rslora',
];
const known = new Set([...refused, ...harmless, ...read]);
/** Those that leave the base as it is; the others change its weights when the adapter is made or loaded. */
const initialisations = [undefined, null, true, false, 'gaussian', 'eva', 'orthogonal'];
const highestRank = 65_536;
const longestList = 10_000;

/**
 * Reads an adapter_config.json.
 *
 * @param source file named in errors
 * @throws DomainError invalid_argument listing all that is missing, of a wrong kind, or that would change the computation in a
 *   way that is not computed here; an option that is unknown here is refused unless it is null, false or empty
 */
export function parseAdapterConfig(raw: unknown, source: string): AdapterConfig {
  if (!isObject(raw)) throw new DomainError('invalid_argument', `${source} is no JSON object`);
  const problems: string[] = [];
  const field = <Value>(name: string, what: string, isRight: (value: unknown) => boolean, absent: Value): Value => {
    const value = raw[name] ?? absent;
    if (value === absent || isRight(value)) return value as Value;
    problems.push(`${name} is ${shown(value)}, needs ${what}`);
    return absent;
  };
  const oneOf = (name: string, values: unknown[]) => {
    if (!values.includes(raw[name])) problems.push(`${name} is ${shown(raw[name])}, supported: ${values.join(', ')}`);
  };
  oneOf('peft_type', ['LORA']);
  if (raw['bias'] !== undefined) oneOf('bias', ['none']);
  if (raw['task_type'] != null) oneOf('task_type', ['CAUSAL_LM', 'SEQ_CLS']);
  if (!initialisations.includes(raw['init_lora_weights'] as string))
    problems.push(
      `init_lora_weights ${shown(raw['init_lora_weights'])} changes the base's weights, which is not supported: convert the adapter in PEFT first`,
    );
  for (const name of refused)
    if (isSet(raw[name])) problems.push(`${name} is ${shown(raw[name])}, which is not supported`);
  for (const [name, value] of Object.entries(raw))
    if (!known.has(name) && isSet(value)) problems.push(`${name} is unknown here and is ${shown(value)}`);

  const names = 'a list of names';
  const targets = field<string[] | string | undefined>(
    'target_modules',
    `${names} or a regular expression`,
    isNames,
    undefined,
  );
  const layers = field<number[] | number | undefined>('layers_to_transform', 'layer numbers', isLayers, undefined);
  if (layers !== undefined && typeof targets === 'string')
    problems.push('layers_to_transform cannot be used where target_modules is a string');
  const layersPattern = field<string[] | string>('layers_pattern', `${names} or a name`, isNames, []);
  const task = raw['task_type'] as AdapterConfig['task'];
  const base = field<string | undefined>('base_model_name_or_path', 'a name', isText, undefined);
  const config: AdapterConfig = {
    rank: field('r', `a whole number of 1 to ${highestRank}`, isRank, 8),
    alpha: field('lora_alpha', 'a number', isNumber, 8),
    isRankStabilised: field('use_rslora', 'true or false', isFlag, false),
    ...(targets !== undefined && { targets }),
    excluded: field<string[] | string>('exclude_modules', `${names} or a regular expression`, isNames, []),
    ...(layers !== undefined && { layers: [layers].flat() }),
    layersPatterns: layersPattern === '' ? [] : [layersPattern].flat(),
    rankPatterns: Object.entries(field('rank_pattern', 'ranks by pattern', isTable(isRank), {})),
    alphaPatterns: Object.entries(field('alpha_pattern', 'numbers by pattern', isTable(isNumber), {})),
    modulesToSave: field<string[]>(
      'modules_to_save',
      names,
      (value) => isNames(value) && typeof value !== 'string',
      [],
    ),
    ...(task != null && { task }),
    ...(base !== undefined && { base }),
    raw,
  };
  if (problems.length > 0) throw new DomainError('invalid_argument', `${source}: ${problems.join('; ')}`);
  return config;
}

/**
 * The config of a new adapter for a model.
 *
 * @throws DomainError invalid_argument as `parseAdapterConfig`
 */
export function newAdapterConfig({ config }: Pick<LanguageModel, 'config'>, settings: AdapterSettings): AdapterConfig {
  const { r, alpha = 2 * r, targetModules = 'all-linear', rslora = false, modulesToSave } = settings;
  const raw = {
    peft_type: 'LORA',
    task_type: config.head === 'reward' ? 'SEQ_CLS' : 'CAUSAL_LM',
    r,
    lora_alpha: alpha,
    lora_dropout: 0,
    target_modules: targetModules,
    use_rslora: rslora,
    bias: 'none',
    fan_in_fan_out: familyOf(config).isConv1d,
    init_lora_weights: true,
    modules_to_save: modulesToSave ?? (config.head === 'reward' ? ['classifier', 'score'] : null),
  };
  return parseAdapterConfig(raw, 'the settings of the adapter');
}

/** The same config as adapter_config.json states it. @param base folder or name of the model that it belongs to */
export function adapterConfigJson({ raw }: AdapterConfig, base: string): Record<string, unknown> {
  return { ...raw, base_model_name_or_path: base, inference_mode: true };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value);
const isText = (value: unknown) => typeof value === 'string';
const isFlag = (value: unknown) => typeof value === 'boolean';
const isNumber = (value: unknown) => Number.isFinite(value);
const isWhole = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
const isRank = (value: unknown) => isWhole(value) && (value as number) >= 1 && (value as number) <= highestRank;
const isListOf = (value: unknown, isItem: (item: unknown) => boolean) =>
  Array.isArray(value) && value.length <= longestList && value.every(isItem);
const isNames = (value: unknown) => isText(value) || isListOf(value, isText);
const isLayers = (value: unknown) => isWhole(value) || isListOf(value, isWhole);
const isTable = (isValue: (value: unknown) => boolean) => (value: unknown) =>
  isObject(value) && isListOf(Object.values(value), isValue);

function isSet(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === '') return false;
  return typeof value !== 'object' || Object.keys(value).length > 0;
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'missing').slice(0, 200);
}
