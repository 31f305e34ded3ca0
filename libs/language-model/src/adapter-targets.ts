import { DomainError } from '@surefoot/errors';
import type { AdapterConfig } from './adapter-config';
import type { ModelConfig } from './config';
import {
  embeddingTable,
  familyOf,
  linearModules,
  parameterSpecs,
  type LinearModule,
  type ParameterSpec,
} from './parameters';
import { nameMatcher, type MatchNames } from './python-pattern';

/** What an adapter holds for a model. */
export interface AdapterPlan {
  /** In the order of the model's modules. */
  pairs: PlannedPair[];
  /** Parameters that are trained whole, in the order of the model's. */
  saved: ParameterSpec[];
}

export interface PlannedPair extends Pick<LinearModule, 'name' | 'inputs' | 'outputs'> {
  rank: number;
  scaling: number;
}

/**
 * Which modules of a model an adapter changes, by the rules of PEFT.
 *
 * @param source file named in errors
 * @throws DomainError invalid_argument where nothing is targeted, or something that no adapter of ours can change: an embedding,
 *   a norm, a head that is the embedding table, a group of modules; as `nameMatcher`
 *
 * Source: PEFT 0.21.2, `tuners_utils.py` (`check_target_module_exists`, `_maybe_include_all_linear_layers`), `other.py`
 * (`get_pattern_key`, `_set_trainable`).
 */
export function planAdapter(config: AdapterConfig, model: ModelConfig, source: string): AdapterPlan {
  const names = moduleNames(model);
  const match = nameMatcher(names);
  const linear = allLinearModules(model);
  const saved = savedParameters(config, model, source);
  const isTargeted = targetTest(config, model, match, source);
  const modules = new Map(linear.map((module) => [module.name, module]));
  const hit = names.filter(isTargeted);
  const wrong = hit.filter((name) => !modules.has(name));
  if (wrong.length > 0)
    throw new DomainError(
      'invalid_argument',
      `${source}: target_modules reaches ${wrong.slice(0, 3).join(', ')}: adapters change linear modules only, no embeddings, norms, groups of modules or heads that share the embedding table`,
    );
  if (hit.length === 0) {
    const ends = [...new Set(linear.map(({ name }) => name.replace(/^.*\./, '')))].join(', ');
    throw new DomainError(
      'invalid_argument',
      `${source}: target_modules names no module of this model, which has ${ends}`,
    );
  }
  const within = (field: string) => (pattern: string) => match(`(?:.*\\.)?(?:${pattern})`, `${source}: ${field}`);
  const ranks = patternTable(config.rankPatterns, config.rank, within('rank_pattern'));
  const alphas = patternTable(config.alphaPatterns, config.alpha, within('alpha_pattern'));
  const pairs = hit.map((name): PlannedPair => {
    const { inputs, outputs } = modules.get(name)!;
    const [rank, alpha] = [ranks(name), alphas(name)];
    return { name, inputs, outputs, rank, scaling: alpha / (config.isRankStabilised ? Math.sqrt(rank) : rank) };
  });
  return { pairs, saved };
}

/** Linear modules of blocks, and a head that has a matrix of its own. */
function allLinearModules(model: ModelConfig): Pick<LinearModule, 'name' | 'inputs' | 'outputs'>[] {
  const { head, tiedHead, hiddenSize: inputs, vocabularySize } = model;
  if (head === 'reward') return [...linearModules(model), { name: 'score', inputs, outputs: 1 }];
  return [...linearModules(model), ...(tiedHead ? [] : [{ name: 'lm_head', inputs, outputs: vocabularySize }])];
}

/** Names of modules and of the groups they are in, as transformers has them; in order. */
function moduleNames(model: ModelConfig): string[] {
  const modules = parameterSpecs(model).map(({ name }) => name.replace(/\.(weight|bias)$/, ''));
  if (model.tiedHead) modules.push('lm_head');
  const names = new Set<string>();
  for (const module of modules)
    for (let dot = module.indexOf('.'); ; dot = module.indexOf('.', dot + 1)) {
      names.add(dot < 0 ? module : module.slice(0, dot));
      if (dot < 0) break;
    }
  return [...names];
}

function targetTest(
  config: AdapterConfig,
  model: ModelConfig,
  match: MatchNames,
  source: string,
): (name: string) => boolean {
  const { targets = familyOf(model).isConv1d ? ['c_attn'] : ['q_proj', 'v_proj'], excluded } = config;
  const listed = (names: string[], name: string) =>
    names.includes(name) || names.some((each) => name.endsWith(`.${each}`));
  const excludes =
    typeof excluded === 'string' && excluded !== '' ? match(excluded, `${source}: exclude_modules`) : undefined;
  const saved = savedNames(config).map((name) =>
    match(`(?:.*\\.)?(?:${name})(?:\\..*)?`, `${source}: modules_to_save`),
  );
  const isFree = (name: string) =>
    !(excludes ? excludes.has(name) : Array.isArray(excluded) && listed(excluded, name)) &&
    !saved.some((matches) => matches.has(name));

  if (typeof targets === 'string') {
    if (targets.toLowerCase() !== 'all-linear') {
      const matches = match(targets, `${source}: target_modules`);
      return (name) => matches.has(name) && isFree(name);
    }
    const blocks = linearModules(model).map(({ name }) => name);
    const all = new Set(model.head === 'reward' && config.task !== 'SEQ_CLS' ? [...blocks, 'score'] : blocks);
    return (name) => all.has(name) && isFree(name);
  }
  const { layers, layersPatterns } = config;
  const patterns = layersPatterns.map((pattern) => match(`(?:.*\\.)?(?:${pattern})`, `${source}: layers_pattern`));
  const isOfLayer = (name: string) => {
    if (!layers || layers.length === 0) return true;
    const [, before, layer] = /^(.*?\.[^.]*)\.(\d+)\./.exec(name) ?? [];
    if (before === undefined || (patterns.length > 0 && !patterns.some((matches) => matches.has(before)))) return false;
    return layers.includes(Number(layer));
  };
  // A name in full is a target whatever its layer.
  return (name) => (targets.includes(name) || (listed(targets, name) && isOfLayer(name))) && isFree(name);
}

function savedNames({ modulesToSave, task }: AdapterConfig): string[] {
  return [...new Set([...modulesToSave, ...(task === 'SEQ_CLS' ? ['classifier', 'score'] : [])])];
}

function savedParameters(config: AdapterConfig, model: ModelConfig, source: string): ParameterSpec[] {
  const names = savedNames(config);
  const isSaved = new Set(
    moduleNames(model).filter((module) => names.some((name) => name !== '' && module.endsWith(name))),
  );
  const table = embeddingTable(model);
  const shared = ['lm_head', table.replace(/\.weight$/, '')].find((module) => isSaved.has(module));
  if (model.tiedHead && shared !== undefined)
    throw new DomainError(
      'invalid_argument',
      `${source}: modules_to_save names ${shared}, which head and embedding of this model share: that is not supported`,
    );
  return parameterSpecs(model).filter(({ name }) => [...isSaved].some((module) => name.startsWith(`${module}.`)));
}

/** The value of the first pattern that a name ends in. */
function patternTable(
  patterns: [string, number][],
  otherwise: number,
  match: (pattern: string) => ReadonlySet<string>,
): (name: string) => number {
  const table = patterns.map(([pattern, value]) => ({ matches: match(pattern), value }));
  return (name) => table.find(({ matches }) => matches.has(name))?.value ?? otherwise;
}
