import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { describeFailure } from '../failure';
import type { HubSettings } from './environment';
import { pullModel } from './pull';
import { commit, gitSha1, sha256, startHub, type ServedFile, type TestHub } from './testing';

const name = 'org/tiny';
const weights = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7919) % 251));
const served = (path: string, content: Buffer | string, lfs = false): ServedFile => ({
  ...{ path, lfs },
  content: Buffer.from(content),
});
const files = [
  served('.gitattributes', '*.safetensors filter=lfs'),
  served('README.md', '# tiny'),
  served('config.json', '{"model_type": "gpt2"}'),
  served('generation_config.json', '{}'),
  served('tokenizer.json', '{"version": "1.0"}'),
  served('tokenizer_config.json', ''),
  served('model.safetensors', weights, true),
  served('pytorch_model.bin', 'pickled', true),
  served('onnx/model.onnx', 'onnx', true),
];
const wanted = [
  'config.json',
  'generation_config.json',
  'model.safetensors',
  'tokenizer.json',
  'tokenizer_config.json',
];

let work: string;
let hub: TestHub;
let notes: string[];
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), 'surefoot-hub-'));
  notes = [];
  hub = await startHub(name, files, { pageSize: 4 });
});
afterEach(async () => {
  await hub.close();
  await rm(work, { recursive: true, force: true });
});

const at = (...path: string[]) => join(work, ...path);
const inCache = (...path: string[]) => at('cache', 'models--org--tiny', ...path);
const blob = (content: Buffer, lfs: boolean) => inCache('blobs', lfs ? sha256(content) : gitSha1(content));
const partial = `${sha256(weights)}.surefoot.incomplete`;
const settings = (more: Partial<HubSettings> = {}): HubSettings => ({
  ...{ endpoint: hub.endpoint, cache: at('cache') },
  patience: { stallMs: 60_000, stallBytes: 100, retries: 3, firstDelayMs: 1, maxDelayMs: 4 },
  ...more,
});
const terminal = {
  print: async () => undefined,
  note: (line: string) => void notes.push(line),
  progress: () => ({ advance: () => undefined, finish: () => undefined }),
};
const pull = (out = at('out'), more: Partial<HubSettings> = {}, signal = new AbortController().signal) =>
  pullModel(settings(more), { name, revision: 'main', out }, { terminal, signal });
/** The line that a user would read. */
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => 'nothing failed',
    (error: unknown) => describeFailure(error).line,
  );
const askedFor = (path: string) => hub.asked.filter(({ url }) => url.includes(path));
const rangesOfWeights = () => hub.asked.filter(({ host }) => host === 'store').map(({ range }) => range);

describe('a pull', () => {
  test('leaves the files of the model, and a cache in the layout that Python uses', async () => {
    const pulled = await pull();
    expect((await readdir(at('out'))).sort()).toEqual(wanted);
    expect(await readFile(at('out/model.safetensors'))).toEqual(weights);
    expect(pulled).toMatchObject({ commit, leftOut: ['pytorch_model.bin'], bytes: pulled.downloadedBytes });
    expect(pulled.files.find(({ path }) => path === 'model.safetensors')).toEqual({
      path: 'model.safetensors',
      bytes: weights.length,
      digest: `sha256:${sha256(weights)}`,
    });
    expect(await readFile(inCache('refs', 'main'), 'utf8')).toBe(commit);
    expect(await readlink(inCache('snapshots', commit, 'model.safetensors'))).toBe(`../../blobs/${sha256(weights)}`);
    expect(await readFile(inCache('snapshots', commit, 'config.json'), 'utf8')).toBe('{"model_type": "gpt2"}');
    expect((await readdir(inCache('blobs'))).length).toBe(wanted.length);
    expect(notes).toEqual([expect.stringMatching(/not pulled: pytorch_model\.bin; .*can run any code/)]);
  });

  test('links weights, and copies what people edit', async () => {
    await pull();
    const inode = async (path: string) => (await stat(path)).ino;
    expect(await inode(at('out/model.safetensors'))).toBe(await inode(blob(weights, true)));
    expect(await inode(at('out/config.json'))).not.toBe(await inode(inCache('snapshots', commit, 'config.json')));
  });

  test('takes from the cache what is there, also what Python has put there', async () => {
    const { downloadedBytes } = await pull();
    expect(downloadedBytes).toBeGreaterThan(weights.length);
    // A store that blobs are links into, as newer releases of huggingface_hub keep one.
    await mkdir(at('cache/blobs'));
    await cp(blob(weights, true), at('cache/blobs/shared'));
    await rm(blob(weights, true));
    await symlink('../../blobs/shared', blob(weights, true));
    await rm(inCache('snapshots'), { recursive: true });
    hub.asked.length = 0;
    expect(await pull(at('again'))).toMatchObject({ downloadedBytes: 0 });
    expect(askedFor('/resolve/')).toEqual([]);
    expect(await readFile(at('again/model.safetensors'))).toEqual(weights);
    expect((await stat(at('again/model.safetensors'))).isFile()).toBe(true);
  });

  test('mends a damaged blob of the cache', async () => {
    await pull();
    const damaged = Buffer.from(weights);
    damaged[1000]! ^= 1;
    await rm(blob(weights, true));
    await writeFile(blob(weights, true), damaged);
    await pull(at('again'));
    expect(await readFile(at('again/model.safetensors'))).toEqual(weights);
    expect(notes.join()).toContain('does not hold what its name says');
  });

  test('fills no folder that holds something, and asks the hub for nothing then', async () => {
    await mkdir(at('out'));
    await writeFile(at('out/config.json'), 'mine');
    expect(await failure(pull())).toMatch(/out exists and is not empty: choose another folder/);
    expect(hub.asked).toEqual([]);
    expect(await readFile(at('out/config.json'), 'utf8')).toBe('mine');
  });

  test('of a commit needs no ref', async () => {
    const { signal } = new AbortController();
    await pullModel(settings(), { name, revision: commit, out: at('out') }, { terminal, signal });
    expect(existsSync(inCache('refs'))).toBe(false);
  });
});

describe('shards', () => {
  const map = (shard: string) => JSON.stringify({ weight_map: { a: 'model-1.safetensors', b: shard } });
  const withIndex = (index: string) => [
    ...files.filter(({ path }) => path !== 'model.safetensors'),
    served('model.safetensors.index.json', index),
    ...['model-1.safetensors', 'model-2.safetensors', 'consolidated.safetensors'].map((path) =>
      served(path, path, true),
    ),
  ];
  const serve = async (index: string) => {
    await hub.close();
    hub = await startHub(name, withIndex(index));
  };
  test('are those that the index names', async () => {
    await serve(map('model-2.safetensors'));
    await pull();
    expect((await readdir(at('out'))).filter((file) => file.endsWith('.safetensors'))).toEqual([
      'model-1.safetensors',
      'model-2.safetensors',
    ]);
  });
  test.each(['../../evil.safetensors', '/etc/passwd', 'model-3.safetensors', 'pytorch_model.bin', 'config.json'])(
    'an index that names %s is refused',
    async (shard) => {
      await serve(map(shard));
      expect(await failure(pull())).toContain(`names "${shard}", no .safetensors file beside it`);
      expect(existsSync(at('out'))).toBe(false);
    },
  );
  test.each([
    ['no JSON', '{'],
    ['no map', '[]'],
    ['an empty one', '{"weight_map": {}}'],
    ['null', 'null'],
  ])('an index that holds %s is refused', async (_, index) => {
    await serve(index);
    expect(await failure(pull())).toMatch(/^model\.safetensors\.index\.json of org\/tiny (is not JSON|names no shard)/);
  });
});

describe('a connection that is cut', () => {
  test.each([1, 2, 3, 4])('at random places, the pull goes on where it was (%i)', async (seed) => {
    let state = seed;
    const random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
    hub.cutAfter = () => Math.floor(3000 + random() * 60_000);
    await pull();
    expect(await readFile(at('out/model.safetensors'))).toEqual(weights);
    const starts = rangesOfWeights().map((range) => Number(/\d+/.exec(range!)![0]));
    expect(starts.length).toBeGreaterThan(4);
    expect(starts).toEqual([...starts].sort((a, b) => a - b));
    expect(new Set(starts).size).toBe(starts.length);
  });

  test('again and again without progress ends the pull; run again it goes on', async () => {
    let first = true;
    hub.cutAfter = (path) => (path !== 'model.safetensors' ? undefined : first ? ((first = false), 100_000) : 0);
    expect(await failure(pull())).toMatch(
      /(cut after|connection to) .*, 4 times; what has arrived is kept: .* run the same command again$/,
    );
    expect(existsSync(at('out'))).toBe(false);
    const kept = (await stat(inCache('blobs', partial))).size;
    expect(kept).toBeGreaterThan(0);
    hub.cutAfter = undefined;
    hub.asked.length = 0;
    expect((await pull()).downloadedBytes).toBeLessThan(weights.length);
    expect(rangesOfWeights()).toEqual([`bytes=${kept}-`]);
    expect(existsSync(inCache('blobs', partial))).toBe(false);
  });

  test('by Ctrl-C keeps what has arrived', async () => {
    const controller = new AbortController();
    hub.intercept = (request, response, host) => {
      if (host !== 'store' || request.headers.range !== 'bytes=0-') return false;
      response.writeHead(206, { 'content-range': `bytes 0-${weights.length - 1}/${weights.length}` });
      response.write(weights.subarray(0, 50_000));
      void hasArrived(50_000).then(() => controller.abort());
      return true;
    };
    const hasArrived = async (bytes: number) => {
      const size = () =>
        stat(inCache('blobs', partial)).then(
          (found) => found.size,
          () => 0,
        );
      while ((await size()) < bytes) await new Promise((settle) => setTimeout(settle, 10));
    };
    expect(await failure(pull(at('out'), {}, controller.signal))).toMatch(/^interrupted; what has arrived is kept/);
    await pull();
    expect(rangesOfWeights()).toEqual(['bytes=0-', 'bytes=50000-']);
    expect(await readFile(at('out/model.safetensors'))).toEqual(weights);
  });

  test('a server that knows no ranges sends all again, to the right end', async () => {
    await mkdir(inCache('blobs'), { recursive: true });
    await writeFile(inCache('blobs', partial), weights.subarray(0, 1234));
    hub.intercept = (_, response, host) => {
      if (host === 'store') response.writeHead(200, { 'content-length': weights.length }).end(weights);
      return host === 'store';
    };
    await pull();
    expect(await readFile(at('out/model.safetensors'))).toEqual(weights);
  });
});

describe('a busy server', () => {
  test('is asked again, at listings and at files', async () => {
    const status = [503, 429, 500, 502];
    hub.intercept = ({ url }, response) => {
      const times = askedFor(url!).length;
      if (times > 1) return false;
      response.writeHead(status[hub.asked.length % 4]!, { 'retry-after': '0' }).end();
      return true;
    };
    await pull();
    expect(await readFile(at('out/model.safetensors'))).toEqual(weights);
  });
  test('that stays so is an error', async () => {
    hub.intercept = (_, response) => (response.writeHead(503).end(), true);
    expect(await failure(pull())).toMatch(/answers with status 503, 4 times/);
  });
});

describe('wrong bytes', () => {
  const wrong = Buffer.from(weights).fill(1, 10, 20);
  const sendWrong = (times: number) => {
    hub.intercept = (_, response, host) => {
      if (host !== 'store' || times-- <= 0) return false;
      const range = `bytes 0-${wrong.length - 1}/${wrong.length}`;
      response.writeHead(206, { 'content-range': range }).end(wrong);
      return true;
    };
  };
  test('once: the file is fetched again', async () => {
    sendWrong(1);
    await pull();
    expect(await readFile(at('out/model.safetensors'))).toEqual(weights);
    expect(notes.join()).toContain('model.safetensors has arrived with another digest');
  });
  test('twice: an error, and nothing of them is left', async () => {
    sendWrong(2);
    expect(await failure(pull())).toMatch(/^model\.safetensors of org\/tiny has twice arrived .* another digest/);
    expect(existsSync(at('out'))).toBe(false);
    expect((await readdir(inCache('blobs'))).filter((file) => file.startsWith(sha256(weights)))).toEqual([]);
  });
  test('of a small file too, by the digest of git', async () => {
    hub.intercept = (request, response) => {
      if (!request.url!.endsWith('/config.json')) return false;
      response.writeHead(200).end('{"model_type": "gpt3"}');
      return true;
    };
    expect(await failure(pull())).toMatch(/^config\.json of org\/tiny has twice .*git-sha1 [0-9a-f]{40}/);
  });
});

describe('a hub that lies', () => {
  const answer = (headers: Record<string, string | number>, body: Buffer, status = 206) => {
    hub.intercept = (_, response, host) => {
      if (host !== 'store') return false;
      response.on('error', () => undefined);
      response.writeHead(status, headers).end(body);
      return true;
    };
  };
  const all = `bytes 0-${weights.length - 1}/${weights.length}`;
  test.each([
    ['more bytes', { 'content-range': all }, Buffer.concat([weights, weights]), 206, /sends more of/],
    ['a huge length', { 'content-length': 1e15 }, weights, 200, /announces 1000000000000000 bytes/],
    ['another total', { 'content-range': 'bytes 0-9/10' }, Buffer.alloc(10), 206, /with status 206, bytes 0-9\/10/],
    ['another part', { 'content-range': `bytes 5-9/${weights.length}` }, Buffer.alloc(5), 206, /bytes 5-9/],
    ['no range', {}, weights, 206, /status 206/],
    ['416', {}, Buffer.alloc(0), 416, /status 416/],
  ])('in files: %s', async (_, headers, body, status, message) => {
    answer(headers as Record<string, string>, body, status);
    const line = await failure(pull());
    expect(line).toMatch(message);
    expect(line).toContain('org/tiny model.safetensors');
    expect(existsSync(at('out'))).toBe(false);
  });
  test('fewer bytes than told, always', async () => {
    answer({ 'content-range': all }, weights.subarray(0, 10));
    expect(await failure(pull())).toMatch(/was cut after 10 of 300000 bytes of model\.safetensors, 4 times/);
  });
  test.each(['../evil', '/etc/evil', 'a/../../evil', 'a\\b', 'C:/evil', 'a//b', './a', 'a\u0000b', ''])(
    'in paths: %j',
    async (path) => {
      hub.list = (entries) => [...entries, { type: 'file', path, size: 1, oid: 'a'.repeat(40) }];
      expect(await failure(pull())).toMatch(/lists a file of org\/tiny \(revision main\) that cannot be/);
      expect(await readdir(work)).toEqual([]);
    },
  );
  test.each([
    ['a digest that is a path', { oid: '../../../../evil' }],
    ['a negative size', { size: -1 }],
    ['no size', { size: null }],
    ['an LFS digest of another length', { lfs: { oid: 'abc', size: 3 } }],
  ])('in entries: %s', async (_, more) => {
    hub.list = (entries) => entries.map((entry) => ({ ...entry, ...more }));
    expect(await failure(pull())).toMatch(/that cannot be/);
  });
  test('in sizes: what no disk holds is refused before anything is fetched', async () => {
    hub.list = (entries) => entries.map((entry) => ({ ...entry, lfs: { oid: 'a'.repeat(64), size: 1e15 } }));
    expect(await failure(pull())).toMatch(/cache needs \d+ MB more, the disk has \d+ MB: make room/);
    expect(askedFor('/resolve/')).toEqual([]);
  });
  test.each([
    ['no JSON', '<html>sign in</html>', /something else than JSON.*check HF_ENDPOINT/],
    ['null', 'null', /something else than JSON/],
    ['no commit', '{"sha": "../../x"}', /does not say which commit/],
  ])('in the first answer: %s', async (_, body, message) => {
    hub.intercept = (_request, response) => (response.end(body), true);
    expect(await failure(pull())).toMatch(message);
  });
  test('an answer without end is not gathered without end', async () => {
    hub.intercept = (_, response) => {
      const more = () => {
        while (response.write(Buffer.alloc(2 ** 20, '['))) if (response.destroyed) return;
      };
      response.on('drain', more);
      more();
      return true;
    };
    expect(await failure(pull())).toMatch(/answers with more than 67108864 bytes/);
  });
  test('pages without end', async () => {
    hub.list = (entries) => Array.from({ length: 40_000 }, () => entries[0]);
    hub.intercept = (request, response) => {
      if (!request.url!.includes('/tree/')) return false;
      response.setHeader('Link', `<${hub.endpoint}${request.url}>; rel="next"`);
      request.url = request.url!.replace(/cursor=\d+/, '');
      return false;
    };
    await hub.close();
    hub = Object.assign(await startHub(name, files), { list: hub.list, intercept: hub.intercept });
    expect(await failure(pull())).toMatch(/lists more than 100000 files/);
  });
  test('redirects without end', async () => {
    hub.intercept = (request, response) => (response.writeHead(307, { location: request.url }).end(), true);
    expect(await failure(pull())).toMatch(/redirects more than 10 times/);
    expect(hub.asked.length).toBe(11);
  });
  test('a redirect to a file of this machine', async () => {
    hub.intercept = (_, response) => (response.writeHead(302, { location: 'file:///etc/passwd' }).end(), true);
    expect(await failure(pull())).toMatch(/redirects to something that is no web address/);
  });
  test('silence, and a byte now and then', async () => {
    const timers: NodeJS.Timeout[] = [];
    hub.intercept = (_, response, host) => {
      if (host !== 'store') return false;
      response.writeHead(206, { 'content-range': all });
      timers.push(setInterval(() => response.write('x'), 50));
      return true;
    };
    const quick = { ...settings().patience, stallMs: 150, retries: 1 };
    expect(await failure(pull(at('out'), { patience: quick }))).toMatch(/brings no data for 0\.15 s, 2 times/);
    timers.forEach(clearInterval);
    hub.intercept = () => true;
    expect(await failure(pull(at('out'), { patience: quick }))).toMatch(/brings no data for 0\.15 s, 2 times/);
  });
});

describe('who asks', () => {
  const token = 'hf_secret';
  test('is told to the hub and to no other host', async () => {
    await pull(at('out'), { token });
    const told = (host: string) => hub.asked.filter((each) => each.host === host).map((each) => each.authorization);
    expect(new Set(told('hub'))).toEqual(new Set([`Bearer ${token}`]));
    expect(told('store')).toEqual([undefined]);
  });
  test.each([
    [
      'gated',
      403,
      'GatedRepo',
      undefined,
      /does not open org\/tiny .*ask for access on .*\/org\/tiny and set HF_TOKEN/,
    ],
    ['gated, with a token', 403, 'GatedRepo', token, /\(the token that was sent does not\)$/],
    ['gated, without a token', 401, 'GatedRepo', undefined, /ask for access/],
    ['unknown or private', 401, 'RepoNotFound', undefined, /it does not exist, or it is private: set HF_TOKEN/],
    ['a token of no use', 401, '', token, /it does not exist, or the token that was sent has expired/],
    ['not there', 404, 'RepoNotFound', token, /has no org\/tiny \(revision main\): check its name/],
    [
      'no such revision',
      404,
      'RevisionNotFound',
      undefined,
      /no such revision of it: org\/tiny \(revision main\); give/,
    ],
    ['something else', 418, '', undefined, /answers with status 418/],
  ])('%s: a sentence about what to do', async (_, status, code, sent, message) => {
    hub.intercept = (_request, response) => (response.writeHead(status, { 'x-error-code': code }).end('{}'), true);
    const line = await failure(pull(at('out'), sent === undefined ? {} : { token: sent }));
    expect(line).toMatch(message);
    expect(line).not.toContain('secret');
    expect(await readdir(work)).toEqual([]);
  });
  test('nobody there: an error that names the host', async () => {
    const { endpoint } = hub;
    await hub.close();
    expect(await failure(pull(at('out'), { endpoint }))).toMatch(
      /^the connection to 127\.0\.0\.1:\d+ failed \(ECONNREFUSED\), 4 times; .*check the network and HF_ENDPOINT/,
    );
  });
});

describe('what is no model', () => {
  const serve = async (paths: string[]) => {
    await hub.close();
    hub = await startHub(
      name,
      paths.map((path) => served(path, path)),
    );
  };
  test.each([
    [
      'pickled weights alone',
      ['config.json', 'pytorch_model.bin'],
      /only in pickled files \(pytorch_model\.bin\): loading/,
    ],
    ['no weights', ['config.json', 'model.onnx'], /has no weights that can be loaded/],
    ['no config', ['model.safetensors'], /neither config\.json nor adapter_config\.json/],
    ['nothing', [], /neither config\.json nor adapter_config\.json/],
  ])('%s', async (_, paths, message) => {
    await serve(paths);
    expect(await failure(pull())).toMatch(message);
    expect(askedFor('/resolve/')).toEqual([]);
  });
  test('but an adapter alone is one, and templates in a folder are pulled', async () => {
    const adapter = ['adapter_config.json', 'adapter_model.safetensors', 'additional_chat_templates/tool.jinja'];
    await serve([...adapter, 'additional_chat_templates/x.bin', 'optimizer.pt']);
    expect((await pull()).files.map(({ path }) => path)).toEqual(adapter);
    expect(await readlink(inCache('snapshots', commit, adapter[2]!))).toMatch(/^\.\.\/\.\.\/\.\.\/blobs\//);
    expect(await readFile(at('out', adapter[2]!), 'utf8')).toBe(adapter[2]);
  });
});

describe('two pulls at once', () => {
  test('fetch each file once, and both have it', async () => {
    await Promise.all([pull(at('one')), pull(at('two'))]);
    for (const out of ['one', 'two']) expect(await readFile(at(out, 'model.safetensors'))).toEqual(weights);
    expect(rangesOfWeights()).toEqual(['bytes=0-']);
    expect(await readdir(at('cache/.locks/models--org--tiny'))).toEqual([]);
  });
  test('into one folder: one of them has it', async () => {
    const lines = await Promise.all([failure(pull()), failure(pull())]);
    expect(lines.sort()).toEqual([expect.stringMatching(/out exists|cannot write .*out: it exists/), 'nothing failed']);
    expect((await readdir(at('out'))).sort()).toEqual(wanted);
  });
  test('the lock of a process that has died is taken over', async () => {
    const lock = at('cache/.locks/models--org--tiny', `${sha256(weights)}.surefoot.lock`);
    await mkdir(dirname(lock), { recursive: true });
    for (const content of [JSON.stringify({ pid: 999_999_999, identity: '1 node' }), '', 'garbage']) {
      await writeFile(lock, content);
      await rm(blob(weights, true), { force: true });
      await pull(at(`out-${content.length}`));
    }
    expect(existsSync(lock)).toBe(false);
  });
});
