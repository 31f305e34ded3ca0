import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { readText } from '@surefoot/files';
import { patient, type Patience } from './patience';

/** Where a hub is, who asks, and where its files are kept. */
export interface HubSettings {
  /** Without a slash at its end. */
  endpoint: string;
  token?: string;
  /** The folder that holds `models--ORG--NAME`, shared with Python's huggingface_hub. */
  cache: string;
  patience: Patience;
}

const defaultEndpoint = 'https://huggingface.co';

/**
 * The settings that Python's huggingface_hub reads too: HF_ENDPOINT, HF_TOKEN or the file of HF_TOKEN_PATH, HF_HUB_CACHE,
 * HF_HOME, XDG_CACHE_HOME, HF_HUB_DOWNLOAD_TIMEOUT.
 *
 * @throws DomainError invalid_argument naming the variable that cannot be used; the token itself is never shown
 */
export async function hubSettings(env: NodeJS.ProcessEnv): Promise<HubSettings> {
  const home = expand(
    env['HF_HOME'] || join(env['XDG_CACHE_HOME'] || join(userHome(env), '.cache'), 'huggingface'),
    env,
  );
  const cache = expand(env['HF_HUB_CACHE'] || env['HUGGINGFACE_HUB_CACHE'] || join(home, 'hub'), env);
  const token = await readToken(env, expand(env['HF_TOKEN_PATH'] || join(home, 'token'), env));
  return {
    endpoint: endpointOf(env['HF_ENDPOINT'] || defaultEndpoint),
    ...(token !== undefined && { token }),
    cache: resolve(cache),
    patience: { ...patient, ...timeout(env['HF_HUB_DOWNLOAD_TIMEOUT']) },
  };
}

function endpointOf(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.search || url.hash || url.username || url.password)
    throw new DomainError('invalid_argument', 'HF_ENDPOINT must be an address like https://huggingface.co');
  return value.replace(/\/+$/, '');
}

async function readToken(env: NodeJS.ProcessEnv, file: string): Promise<string | undefined> {
  const given = (env['HF_TOKEN'] || env['HUGGING_FACE_HUB_TOKEN'])?.trim();
  const token = given || (existsSync(file) ? (await readText(file)).trim() : '');
  if (!token) return undefined;
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new DomainError('invalid_argument', `${given ? 'HF_TOKEN' : file} is no token: it holds blanks or other signs`);
}

function timeout(value: string | undefined): Partial<Patience> {
  if (!value) return {};
  if (/^\d{1,5}$/.test(value) && Number(value) > 0) return { stallMs: Number(value) * 1000 };
  throw new DomainError('invalid_argument', 'HF_HUB_DOWNLOAD_TIMEOUT must be a whole number of seconds from 1');
}

const userHome = (env: NodeJS.ProcessEnv) => env['HOME'] || homedir();

function expand(path: string, env: NodeJS.ProcessEnv): string {
  return path
    .replace(/^~(?=$|[\\/])/, () => userHome(env))
    .replace(/\$(\w+)|\$\{(\w+)\}/g, (whole, plain?: string, braced?: string) => env[plain ?? braced!] ?? whole);
}
