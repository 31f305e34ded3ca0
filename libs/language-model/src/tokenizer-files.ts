import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { parseJson, readJson, readText } from '@surefoot/files';
import { checkGrowth, checkTokens, type AddedToken } from './tokenizer-checks';

/** What a tokenizer's folder says, before anything is built from it. */
export interface TokenizerFiles {
  /** tokenizer.json as text; it decides every id. */
  text: string;
  json: Record<string, unknown> & { added_tokens: AddedToken[] };
  config: Record<string, unknown>;
  /** Special tokens by their name in templates: `bos_token`, `eos_token`, `pad_token`, `unk_token`. */
  specialTokens: Record<string, string>;
  chatTemplate?: { text: string; source: string };
}

/** Twice what the largest vocabularies of today take, bytes. */
const largestFile = 64 * 2 ** 20;

/** Names of the files that make a tokenizer; a model folder holds a copy of those that exist. */
export const tokenizerFileNames = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
  'chat_template.json',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'tokenizer.model',
];

/** @throws DomainError not_found where tokenizer.json is missing, invalid_argument naming a file that does not hold what it should */
export async function readTokenizerFiles(folder: string): Promise<TokenizerFiles> {
  const path = join(folder, 'tokenizer.json');
  refuseHuge(path);
  const text = await readText(path);
  const json = parseObject(text, path);
  const config = await optionalObject(join(folder, 'tokenizer_config.json'));
  const map = await optionalObject(join(folder, 'special_tokens_map.json'));
  const chatTemplate = await readChatTemplate(folder, config);
  const named = specialTokens({ ...map, ...config });
  const added = namedWith(path, () => checkTokens({ ...json, added_tokens: json['added_tokens'] ?? [] }));
  namedWith(path, () => checkGrowth(json));
  const controls = [
    named['bos_token'],
    named['eos_token'],
    named['pad_token'],
    ...additional(map),
    ...additional(config),
  ];
  return {
    text,
    json: { ...json, added_tokens: withNamedTokens(added, controls, json['model']) },
    config,
    specialTokens: named,
    ...(chatTemplate && { chatTemplate }),
  };
}

/**
 * The tokens that a configuration names as beginning, end and padding, or as special besides, are special whether
 * tokenizer.json says so or not: transformers adds them so, and a text that spells one must not end a turn.
 */
function withNamedTokens(added: AddedToken[], controls: (string | undefined)[], model: unknown): AddedToken[] {
  const named = new Set(controls.filter((content) => content !== undefined && content !== '') as string[]);
  const tokens = added.map((token) => (named.has(token.content) ? { ...token, special: true } : token));
  for (const { content } of added) named.delete(content);
  const vocabulary = (model as { vocab?: Record<string, number> } | undefined)?.vocab ?? {};
  for (const content of named) {
    const id = Object.hasOwn(vocabulary, content) ? vocabulary[content] : undefined;
    if (typeof id === 'number') tokens.push({ id, content, special: true });
  }
  return tokens;
}

function additional(config: Record<string, unknown>): string[] {
  const list = config['additional_special_tokens'];
  return Array.isArray(list) ? list.flatMap((token) => contentOf(token) ?? []) : [];
}

/** The template of chat_template.jinja, or else chat_template.json, or else tokenizer_config.json; of several the default. */
async function readChatTemplate(
  folder: string,
  config: Record<string, unknown>,
): Promise<TokenizerFiles['chatTemplate']> {
  const file = join(folder, 'chat_template.jinja');
  if (existsSync(file)) {
    refuseHuge(file);
    return { text: await readText(file), source: file };
  }
  const apart = join(folder, 'chat_template.json');
  if (existsSync(apart)) return templateIn((await optionalObject(apart))['chat_template'], apart);
  return templateIn(config['chat_template'], join(folder, 'tokenizer_config.json'));
}

function templateIn(value: unknown, source: string): TokenizerFiles['chatTemplate'] {
  if (typeof value === 'string') return { text: value, source };
  if (!Array.isArray(value)) return undefined;
  const named = (value as { name?: unknown; template?: unknown }[]).find((entry) => entry?.name === 'default');
  return typeof named?.template === 'string' ? { text: named.template, source } : undefined;
}

function specialTokens(config: Record<string, unknown>): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of ['bos_token', 'eos_token', 'pad_token', 'unk_token']) {
    const content = contentOf(config[name]);
    if (content !== undefined) found[name] = content;
  }
  return found;
}

/** Of a token written as text or as an object with more about it. */
function contentOf(token: unknown): string | undefined {
  const content = typeof token === 'object' ? (token as { content?: unknown } | null)?.content : token;
  return typeof content === 'string' ? content : undefined;
}

async function optionalObject(path: string): Promise<Record<string, unknown>> {
  if (!existsSync(path)) return {};
  refuseHuge(path);
  return asObject(await readJson(path), path);
}

function refuseHuge(path: string): void {
  const bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (bytes > largestFile) {
    const size = `${(bytes / 2 ** 20).toFixed(0)} MiB; at most ${largestFile / 2 ** 20} MiB are read`;
    throw new DomainError('invalid_argument', `${path} has ${size}`);
  }
}

function namedWith<Result>(path: string, body: () => Result): Result {
  try {
    return body();
  } catch (error) {
    throw new DomainError('invalid_argument', `${path}: ${(error as Error).message}`, { cause: error });
  }
}

function parseObject(text: string, path: string): Record<string, unknown> {
  try {
    return asObject(parseJson(text), path);
  } catch (error) {
    if (error instanceof DomainError) throw error;
    throw new DomainError('invalid_argument', `${path} is not JSON: ${(error as Error).message}`, { cause: error });
  }
}

function asObject(value: unknown, path: string): Record<string, unknown> {
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new DomainError('invalid_argument', `${path} is no JSON object`);
}
