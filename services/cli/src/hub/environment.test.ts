import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { hubSettings } from './environment';
import { repositoryName, revisionName } from './repository';

let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'surefoot-hub-'));
  await mkdir(join(home, 'hf'));
  await writeFile(join(home, 'hf/token'), 'hf_file\n');
});
afterAll(() => rm(home, { recursive: true }));

describe('the settings of huggingface_hub', () => {
  test.each([
    [{}, '.cache/huggingface/hub'],
    [{ XDG_CACHE_HOME: '~/xdg' }, 'xdg/huggingface/hub'],
    [{ HF_HOME: '$HOME/hf' }, 'hf/hub'],
    [{ HF_HOME: '~/hf', HUGGINGFACE_HUB_CACHE: '${HOME}/old' }, 'old'],
    [{ HF_HOME: '~/hf', HUGGINGFACE_HUB_CACHE: '~/old', HF_HUB_CACHE: '~/new' }, 'new'],
  ])('%j keeps files in ~/%s', async (env, cache) => {
    expect((await hubSettings({ HOME: home, ...env })).cache).toBe(join(home, cache));
  });
  test('the token is that of the environment, else that of the file, else none', async () => {
    const token = async (env: NodeJS.ProcessEnv) => (await hubSettings({ HOME: home, ...env })).token;
    expect(await token({ HF_HOME: '~/hf', HF_TOKEN: ' hf_given\n' })).toBe('hf_given');
    expect(await token({ HF_HOME: '~/hf', HF_TOKEN: '' })).toBe('hf_file');
    expect(await token({ HF_TOKEN_PATH: '~/hf/token' })).toBe('hf_file');
    expect(await token({})).toBeUndefined();
  });
  test('the hub is that of HF_ENDPOINT, without a slash at its end', async () => {
    expect((await hubSettings({ HOME: home })).endpoint).toBe('https://huggingface.co');
    expect((await hubSettings({ HOME: home, HF_ENDPOINT: 'http://mirror:8080/hf/' })).endpoint).toBe(
      'http://mirror:8080/hf',
    );
    expect((await hubSettings({ HOME: home, HF_HUB_DOWNLOAD_TIMEOUT: '7' })).patience.stallMs).toBe(7000);
  });
  test.each([
    [{ HF_ENDPOINT: 'mirror' }, 'HF_ENDPOINT must be an address'],
    [{ HF_ENDPOINT: 'file:///etc' }, 'HF_ENDPOINT must be an address'],
    [{ HF_ENDPOINT: 'http://me:secret@mirror' }, 'HF_ENDPOINT must be an address'],
    [{ HF_TOKEN: 'secret\nX-Other: 1' }, 'HF_TOKEN is no token'],
    [{ HF_HUB_DOWNLOAD_TIMEOUT: '1e9' }, 'HF_HUB_DOWNLOAD_TIMEOUT must be'],
  ])('%j cannot be used', async (env, message) => {
    const error = await hubSettings({ HOME: home, ...env }).catch((reason: Error) => reason.message);
    expect(error).toContain(message);
    expect(error).not.toContain('secret');
  });
});

describe('names', () => {
  test.each(['gpt2', 'google/gemma-2b-it', 'org_1/Model.v1-x'])('%s is a repository', (name) => {
    expect(repositoryName.safeParse(name).success).toBe(true);
  });
  test.each([
    ...['', '/', 'a/', '/a', 'a/b/c', '../a', 'a/..', './a', '.a', 'a/.b', 'a--b', 'a/b.git', 'a b', 'a/b?x', 'a\\b'],
    ...['https://huggingface.co/gpt2', 'datasets/a/b', '-a', 'a/b-', 'a'.repeat(97), 'a/%2e%2e', 'ä'],
  ])('%j is none', (name) => {
    expect(repositoryName.safeParse(name).success).toBe(false);
  });
  test.each(['main', 'v1.0', 'refs/pr/3', 'c0ffee'])('%s is a revision', (name) => {
    expect(revisionName.safeParse(name).success).toBe(true);
  });
  test.each(['', '../x', 'a/../b', '/a', 'a/', '-x', 'a b', 'a?b', 'a%2f', '.hidden', 'a//b', 'a/.b', 'x.lock'])(
    '%j is none',
    (name) => {
      expect(revisionName.safeParse(name).success).toBe(false);
    },
  );
});
