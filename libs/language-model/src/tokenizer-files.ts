import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { readJson, readText } from '@surefoot/files';

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

export interface AddedToken {
  id: number;
  content: string;
  special: boolean;
}

/** Names of the files that make a tokenizer; a model folder holds a copy of those that exist. */
export const tokenizerFileNames = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
  'added_tokens.json',
  'vocab.json',
  'merges.txt',
  'tokenizer.model',
];

/** @throws DomainError not_found where tokenizer.json is missing, invalid_argument naming a file that does not hold what it should */
export async function readTokenizerFiles(folder: string): Promise<TokenizerFiles> {
  const path = join(folder, 'tokenizer.json');
  const text = await readText(path);
  const json = parseObject(text, path);
  const config = await optionalObject(join(folder, 'tokenizer_config.json'));
  const map = await optionalObject(join(folder, 'special_tokens_map.json'));
  const chatTemplate = await readChatTemplate(folder, config);
  return {
    text,
    json: { ...json, added_tokens: addedTokens(json['added_tokens'] ?? [], path) },
    config,
    specialTokens: specialTokens({ ...map, ...config }),
    ...(chatTemplate && { chatTemplate }),
  };
}

async function readChatTemplate(
  folder: string,
  config: Record<string, unknown>,
): Promise<TokenizerFiles['chatTemplate']> {
  const file = join(folder, 'chat_template.jinja');
  if (existsSync(file)) return { text: await readText(file), source: file };
  const source = join(folder, 'tokenizer_config.json');
  const value = config['chat_template'];
  if (typeof value === 'string') return { text: value, source };
  if (!Array.isArray(value)) return undefined;
  const named = (value as { name?: unknown; template?: unknown }[]).find((entry) => entry?.name === 'default');
  return typeof named?.template === 'string' ? { text: named.template, source } : undefined;
}

function specialTokens(config: Record<string, unknown>): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of ['bos_token', 'eos_token', 'pad_token', 'unk_token']) {
    const value = config[name] as string | { content?: unknown } | null | undefined;
    const content = typeof value === 'object' ? value?.content : value;
    if (typeof content === 'string') found[name] = content;
  }
  return found;
}

function addedTokens(value: unknown, path: string): AddedToken[] {
  const isToken = (entry: AddedToken) => Number.isInteger(entry?.id) && typeof entry?.content === 'string';
  if (Array.isArray(value) && value.every(isToken)) return value as AddedToken[];
  throw new DomainError('invalid_argument', `${path}: added_tokens is no list of tokens with id and content`);
}

async function optionalObject(path: string): Promise<Record<string, unknown>> {
  return existsSync(path) ? asObject(await readJson(path), path) : {};
}

function parseObject(text: string, path: string): Record<string, unknown> {
  try {
    return asObject(JSON.parse(text), path);
  } catch (error) {
    if (error instanceof DomainError) throw error;
    throw new DomainError('invalid_argument', `${path} is not JSON: ${(error as Error).message}`, { cause: error });
  }
}

function asObject(value: unknown, path: string): Record<string, unknown> {
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new DomainError('invalid_argument', `${path} is no JSON object`);
}
