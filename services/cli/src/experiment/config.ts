import { existsSync, realpathSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { DomainError } from '@surefoot/errors';
import type { PpoConfig } from '@surefoot/ppo';
import { z } from 'zod';
import { readYaml } from '../options-file';
import { plainWords } from '../plain-words';
import { builtinTaskSchema, type BuiltinTaskFiles, type BuiltinTaskSettings } from './builtin-task';
import { resolvePpoKeys } from './ppo-keys';

/** Where a scorer is: a model folder to serve, or a service that runs. */
export type ScorerLocation = { folder: string } | { address: string };

/** One data set's ensemble; every run belongs to one block. */
export interface Block {
  name: string;
  /** Absent where a trainer service has its own. */
  ensemble?: ScorerLocation;
}

/** One way to train. */
export interface Method {
  name: string;
  ppo: PpoConfig;
}

/** An experiment with every default filled in and every path absolute. */
export interface ExperimentConfig {
  name: string;
  /** Where it was read, as messages name it; absent where it comes from no file. */
  file?: string;
  /** Whether policy, blocks, judge, gold and prompts are those of the built-in task. */
  usesBuiltinTask: boolean;
  policy: string;
  blocks: Block[];
  /** Absent = no judge (or the trainer service's own). */
  judge?: ScorerLocation;
  gold?: string;
  prompts: string;
  evalPrompts: string;
  methods: Method[];
  /** Of each method in each block. */
  runs: number;
  /** Seed of run 0; run r has `seed + r`. */
  seed: number;
  /** True to keep every rollout. */
  keepRollouts: boolean;
  /** The adapter that is trained; absent = the whole policy. */
  lora?: Lora;
  /** How the start policy's weights are held; absent = as the trainer does it. */
  weights?: 'auto' | 'f32' | 'bf16-mapped';
}

/** An adapter as a file writes it. */
export type Lora = z.output<typeof lora>;

/** A single run: a block, a method, a member and a seed. */
export interface RunFile extends Omit<ExperimentConfig, 'usesBuiltinTask' | 'blocks' | 'methods' | 'runs'> {
  block: Block;
  method: Method;
  member: number;
}

const name = z.string().regex(/^[a-z0-9][a-z0-9._-]*$/, 'must be lower-case letters, digits, dots, hyphens');
const path = z.string().min(1);
const seed = z.int().min(0);
const method = z.union([z.string(), z.looseObject({ name: name.optional(), mode: z.string().optional() })]);
const hostPort = /^[A-Za-z0-9.-]+:\d{1,5}(,[A-Za-z0-9.-]+:\d{1,5})*$/;

const lora = z.strictObject({
  r: z.int().min(1).max(65_536),
  alpha: z.number().optional(),
  /** Names or ends of names of linear modules, a regular expression, or `all-linear`, which is the default. */
  targetModules: z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]).optional(),
  rslora: z.boolean().optional(),
});

const digest = z.string().nullish();
const digests = z.looseObject({
  ensembles: z.record(z.string(), digest).default({}),
  policy: digest,
  prompts: digest,
  evalPrompts: digest,
  gold: digest,
  judge: digest,
});
/** sha256 of the files and models that an experiment was made with; null where a service holds them. */
export type Digests = z.output<typeof digests>;

const shared = {
  name: z.string().min(1).optional(),
  policy: path,
  judge: path.optional(),
  gold: path.optional(),
  prompts: path,
  evalPrompts: path.optional(),
  reward: z.enum(['member', 'mean', 'median']).optional(),
  ppo: z.record(z.string(), z.unknown()).default({}),
  seed: seed.default(1000),
  keepRollouts: z.boolean().default(false),
  lora: lora.optional(),
  weights: z.enum(['auto', 'f32', 'bf16-mapped']).optional(),
  // What `experiment.yaml` adds; a resolved file may be used as a configuration again.
  resolved: z
    .looseObject({ members: z.record(z.string(), z.int().nullable()), digests: digests.optional() })
    .optional(),
};
const block = z.strictObject({
  name,
  ensemble: path.optional(),
  address: z.string().regex(hostPort, 'must be HOST:PORT').optional(),
});
const experimentSchema = z.strictObject({
  ...shared,
  blocks: z.array(block).min(1),
  methods: z.array(method).min(1),
  runs: z.int().min(1).max(100_000),
});
/** The built-in task in the place of everything that it stands for. */
const builtinExperimentSchema = experimentSchema
  .omit({ policy: true, judge: true, gold: true, prompts: true, evalPrompts: true, blocks: true })
  .extend({ builtinTask: builtinTaskSchema });
const runSchema = z.strictObject({
  ...shared,
  ensemble: path.optional(),
  method: method.default('variance-weighted-kl'),
  member: z.int().min(0).default(0),
});

/**
 * Reads an experiment. Paths count from the file's own folder, or else from the current one.
 *
 * @param options.remote true where trainer services read the files: their paths then stay as written
 * @param options.prepare makes the built-in task where the file asks for it, and says where it is
 * @throws DomainError invalid_argument naming file, key and reason; not_found; what `prepare` throws
 */
export async function readExperiment(
  file: string,
  { prepare, ...options }: ReadOptions & { prepare?: PrepareBuiltinTask } = {},
): Promise<ExperimentConfig> {
  const written = checkExperiment(await readYaml(file), file);
  // Before the task is made, which takes minutes.
  const methods = written.methods.map((each) => resolveMethod(each, written, file));
  refuseDuplicates(
    methods.map((each) => each.name),
    `${file}: methods`,
  );
  const content = 'builtinTask' in written ? await withBuiltinTask(written, file, prepare) : written;
  const config = {
    name: content.name ?? 'experiment',
    usesBuiltinTask: 'builtinTask' in written,
    ...resolveShared(content, file, options),
    blocks: content.blocks.map((each) => resolveBlock(each, file, options)),
    methods,
    runs: content.runs,
  };
  if (!config.judge && config.gold === undefined && !options.remote)
    throw new DomainError('invalid_argument', `${file}: a judge or gold is needed to tell how a run has ended`);
  refuseDuplicates(
    config.blocks.map((each) => each.name),
    `${file}: blocks`,
  );
  return config;
}

/** Makes the built-in task, or finds it. */
export type PrepareBuiltinTask = (settings: BuiltinTaskSettings) => Promise<BuiltinTaskFiles>;

function checkExperiment(content: unknown, file: string) {
  const asksForTask = z.object({ builtinTask: z.unknown() }).safeParse(content).data?.builtinTask;
  return asksForTask ? check(builtinExperimentSchema, content, file) : check(experimentSchema, content, file);
}

async function withBuiltinTask(
  { builtinTask, ...rest }: z.output<typeof builtinExperimentSchema>,
  file: string,
  prepare: PrepareBuiltinTask | undefined,
) {
  if (!prepare)
    throw new DomainError(
      'invalid_argument',
      `${file}: trainer services do not know the builtinTask: leave out --address`,
    );
  return { ...rest, ...(await prepare(builtinTask)) };
}

/** An experiment that has run, as its `experiment.yaml` tells it. */
export interface ResolvedExperiment {
  config: ExperimentConfig;
  /** Of the ensemble of each block. */
  members: number[];
  digests: Digests;
}

/** What an experiment was, from its folder alone. */
export async function readResolvedExperiment(file: string): Promise<ResolvedExperiment> {
  const { resolved } = check(experimentSchema, await readYaml(file), file);
  const config = await readExperiment(file, { remote: true });
  const members = config.blocks.map(({ name: blockName }) => resolved?.members[blockName] ?? 1);
  return { config, members, digests: resolved?.digests ?? { ensembles: {} } };
}

/** Reads a single run, the same way. */
export async function readRunFile(file: string, options: ReadOptions = {}): Promise<RunFile> {
  const content = check(runSchema, await readYaml(file), file);
  return {
    name: content.name ?? 'run',
    ...resolveShared(content, file, options),
    block: resolveBlock({ name: 'run', ensemble: content.ensemble }, file, options),
    method: resolveMethod(content.method, content, file),
    member: content.member,
  };
}

/** A run or an experiment with what flags say in the place of what its file does. */
export function withFlags<Content extends { seed: number; weights?: ExperimentConfig['weights'] }>(
  content: Content,
  { seed = content.seed, weights = content.weights }: { seed?: number; weights?: ExperimentConfig['weights'] },
): Content {
  return { ...content, seed, ...(weights && { weights }) };
}

function check<Schema extends z.ZodType>(schema: Schema, content: unknown, file: string): z.output<Schema> {
  const { success, data, error } = schema.safeParse(content, { error: plainWords });
  if (success) return data;
  const problems = error.issues.map((issue) => {
    const key = issue.path.join('.');
    if (issue.code === 'unrecognized_keys') return `unknown ${[key, issue.keys.join(', ')].filter(Boolean).join(': ')}`;
    return `${key || 'the file'}: ${issue.message}`;
  });
  throw new DomainError('invalid_argument', `${file}: ${problems.join('; ')}`);
}

/** Whether paths are those of another machine. */
interface ReadOptions {
  remote?: boolean;
}

function resolveShared(
  content: z.output<typeof runSchema> | z.output<typeof experimentSchema>,
  file: string,
  options: ReadOptions,
) {
  const locate = (key: 'policy' | 'gold' | 'prompts' | 'evalPrompts', value: string) =>
    existing(value, `${file}: ${key}`, { file, kind: key === 'policy' ? 'folder' : 'file', ...options });
  const prompts = locate('prompts', content.prompts);
  return {
    file,
    policy: locate('policy', content.policy),
    judge: content.judge === undefined ? undefined : location(content.judge, `${file}: judge`, { file, ...options }),
    gold: content.gold === undefined ? undefined : locate('gold', content.gold),
    prompts,
    evalPrompts: content.evalPrompts === undefined ? prompts : locate('evalPrompts', content.evalPrompts),
    seed: content.seed,
    keepRollouts: content.keepRollouts,
    ...(content.lora && { lora: content.lora }),
    ...(content.weights && { weights: content.weights }),
  };
}

function resolveBlock(content: z.output<typeof block>, file: string, options: ReadOptions): Block {
  const { name: blockName, ensemble, address } = content;
  if (ensemble !== undefined && address !== undefined)
    throw new DomainError('invalid_argument', `${file}: block ${blockName} has both ensemble and address: keep one`);
  if (address !== undefined) return { name: blockName, ensemble: { address } };
  if (ensemble === undefined) return { name: blockName };
  return { name: blockName, ensemble: location(ensemble, `${file}: ensemble of ${blockName}`, { file, ...options }) };
}

function resolveMethod(
  content: z.output<typeof method>,
  { ppo, reward }: { ppo: Record<string, unknown>; reward?: string },
  file: string,
): Method {
  const { name: methodName, ...own } = typeof content === 'string' ? { name: content, mode: content } : content;
  const label = methodName ?? own.mode ?? 'variance-weighted-kl';
  const all = reward === undefined ? ppo : { ...ppo, reward };
  return { name: label, ppo: resolvePpoKeys({ ...all, ...own }, `${file}: method ${label}`) };
}

function location(value: string, where: string, options: ReadOptions & { file: string }): ScorerLocation {
  const isAddress = hostPort.test(value) && !existsSync(resolve(dirname(options.file), value));
  return isAddress ? { address: value } : { folder: existing(value, where, { kind: 'folder', ...options }) };
}

function existing(
  value: string,
  where: string,
  { file, kind, remote = false }: ReadOptions & { file: string; kind: 'file' | 'folder' },
): string {
  if (remote) return value;
  const found = [resolve(dirname(file), value), resolve(value)].find((candidate) => existsSync(candidate));
  if (!found)
    throw new DomainError('not_found', `${where}: ${value} does not exist beside the file or in the current folder`);
  if (statSync(found).isDirectory() !== (kind === 'folder'))
    throw new DomainError(
      'invalid_argument',
      `${where}: ${found} is ${kind === 'folder' ? 'no folder' : 'a folder, no file'}`,
    );
  // A trainer follows links before it looks whether a path lies under its data directory.
  return realpathSync(found);
}

function refuseDuplicates(names: string[], where: string): void {
  const twice = names.find((each, index) => names.indexOf(each) !== index);
  if (twice) throw new DomainError('invalid_argument', `${where}: the name ${twice} occurs twice`);
}
