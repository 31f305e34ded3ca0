import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { expectDone, surefoot, tinyQuickstart, workFolder } from './testing';

let work: Awaited<ReturnType<typeof workFolder>>;
const at = (...path: string[]) => join(work.path, ...path);
const lines = (...rows: unknown[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
const good = { prompt: 'how is the soup ?', response: 'sure the soup is very tasty and very fresh thanks .' };
const experiment = {
  policy: 'quick/task/base',
  blocks: [{ name: 'a', ensemble: 'quick/ensemble' }],
  judge: 'quick/judge',
  prompts: 'quick/task/prompts.jsonl',
  methods: ['vanilla'],
  runs: 1,
  ppo: { iterations: 2, referenceSamples: 64, evaluationSamples: 64 },
};
const run = { policy: experiment.policy, ensemble: 'quick/ensemble', prompts: experiment.prompts, ppo: experiment.ppo };

const inputs: Record<string, string | Buffer> = {
  'good.jsonl': lines(good),
  'malformed.jsonl': `${lines(good)}{"prompt": "how is\n`,
  'empty-response.jsonl': lines(good, { ...good, response: ' ' }),
  'response-ids.jsonl': lines({ id: 'x', ids: [2, 3], response: 'the soup' }),
  'unknown-id.jsonl': lines({ id: 'x', ids: [0, 99_999] }),
  'unknown-word.jsonl': lines({ prompt: 'how is the weather ?' }),
  'long.jsonl': lines({ ids: Array.from({ length: 40 }, () => 3) }),
  'twice.jsonl': lines({ id: 'x', ...good }, { id: 'x', ...good }),
  'nothing.jsonl': '\n\n',
  'damaged.jsonl.gz': gzipSync(lines(good).repeat(50)).subarray(0, 40),
  'latin1.jsonl': Buffer.from('{"prompt": "caf\xe9", "response": "x"}\n', 'latin1'),
  'surrogate.jsonl': '{"prompt": "how is the soup ?", "response": "\\ud800"}\n',
  'no-rejected.jsonl': lines({ prompt: 'how is the soup ?', chosen: 'x' }),
  'no-text.jsonl': lines({ txt: 'x' }),
  'not.yaml': 'policy: [\n',
  'nan.yaml': stringify({ ...experiment, ppo: { learningRate: NaN } }),
  'key.yaml': stringify({ ...experiment, ppo: { learninRate: 1 } }),
  'mode.yaml': stringify({ ...experiment, methods: ['vanilla', 'variance-weighted'] }),
  'one-member.yaml': stringify({
    ...experiment,
    blocks: [{ name: 'a', ensemble: 'quick/judge' }],
    methods: ['variance-weighted-kl'],
  }),
  'missing.yaml': stringify({ ...experiment, policy: 'nowhere' }),
  'experiment.yaml': stringify(experiment),
  'no-prompt.yaml': stringify({ ...experiment, prompts: 'nothing.jsonl' }),
  'number.jsonl': lines(good, { prompt: 5 }),
  'number.yaml': stringify({ ...experiment, evalPrompts: 'number.jsonl' }),
  'unknown-word.yaml': stringify({ ...experiment, prompts: 'unknown-word.jsonl' }),
  'unknown-word-run.yaml': stringify({ ...run, prompts: 'unknown-word.jsonl' }),
  'run.yaml': stringify(run),
  'member.yaml': stringify({ ...run, member: 7 }),
  'length.yaml': stringify({ ...run, ppo: { ...run.ppo, maxNewTokens: 400 } }),
  'divisor.yaml': stringify({ ...run, ppo: { batchSize: 64, minibatchSize: 48 } }),
};

beforeAll(async () => {
  work = await workFolder();
  expectDone(await surefoot([...tinyQuickstart, '--out', 'quick'], { cwd: work.path }));
  for (const [name, content] of Object.entries(inputs)) await writeFile(at(name), content);
  for (const name of ['wrong-shape', 'truncated', 'no-config', 'no-weights'])
    await cp(at('quick/task/base'), at(name), { recursive: true });
  const weights = await readFile(at('wrong-shape/model.safetensors'));
  // The header is JSON of a fixed length: the same digits in another order change only the shape.
  const header = weights.toString('latin1').replace(/"shape":\[48,144\]/, '"shape":[144,48]');
  await writeFile(at('wrong-shape/model.safetensors'), header, 'latin1');
  await truncate(at('truncated/model.safetensors'), weights.length - 100);
  await writeFile(at('no-config/config.json'), '{"model_type": "gpt2",');
  await writeFile(at('no-weights/model.safetensors'), '');
}, 300_000);
afterAll(() => work.remove());

const score = ['score', '--ensemble', 'quick/ensemble', '--out', 'out', '--in'];
const generate = ['generate', '--model', 'quick/task/base', '--out', 'out', '--max-new-tokens', '18', '--in'];
const train = [
  'reward',
  'train',
  '--like',
  'quick/task/member-config.json',
  '--tokenizer',
  'quick/task/base',
  '--out',
  'out',
];
const experimentRun = ['experiment', 'run', '--out', 'out', '--config'];

/** What is asked, the status, and what the one line on stderr must say. */
const cases: [string, string[], number, ...string[]][] = [
  ['a malformed line', [...score, 'malformed.jsonl'], 1, 'malformed.jsonl line 2', 'not JSON'],
  ['an empty response', [...score, 'empty-response.jsonl'], 1, 'empty-response.jsonl line 2', 'response is empty'],
  ['ids of a response alone', [...score, 'response-ids.jsonl'], 1, 'line 1', 'it has ids and response'],
  ['an empty stdin', [...score, '-'], 1, 'stdin: no rollout found'],
  ['an empty stdin of prompts', [...generate, '-'], 1, 'stdin: there is no line to read'],
  [
    'a likeliest token of several',
    [...generate, 'good.jsonl', '--greedy', '--top-k', '3'],
    2,
    '--top-k contradicts it',
  ],
  ['a flag that is not there', [...score, 'good.jsonl', '--nope'], 2, 'see surefoot score --help'],
  ['a folder to stop that does not exist', ['stop', '--out', 'nosuch'], 1, 'nosuch does not exist'],
  ['an id outside the vocabulary', [...score, 'unknown-id.jsonl'], 1, 'id x', '99999'],
  [
    'a token no model knows',
    ['logprobs', '--model', 'quick/task/base', '--out', 'out', '--in', 'unknown-id.jsonl'],
    1,
    '99999',
  ],
  ['a word outside the vocabulary', [...generate, 'unknown-word.jsonl'], 1, 'unknown-word.jsonl line 1', 'vocabulary'],
  ['a prompt that is too long', [...generate, 'long.jsonl'], 1, 'long.jsonl line 1', 'lower --max-new-tokens'],
  ['an id given twice', [...score, 'twice.jsonl'], 1, 'twice.jsonl line 2', 'line 1'],
  ['a file without a line', [...score, 'nothing.jsonl'], 1, 'nothing.jsonl'],
  ['a damaged gzip file', [...score, 'damaged.jsonl.gz'], 1, 'damaged.jsonl.gz', 'gzip'],
  ['text that is no UTF-8', [...score, 'latin1.jsonl'], 1, 'latin1.jsonl', 'UTF-8'],
  ['half a surrogate pair', [...score, 'surrogate.jsonl'], 1, 'surrogate.jsonl line 1', 'surrogate'],
  ['a file that does not exist', [...score, 'none.jsonl'], 1, 'none.jsonl', 'does not exist'],
  [
    'a pair without a rejected response',
    [...train, '--pairs', 'no-rejected.jsonl'],
    1,
    'no-rejected.jsonl line 1',
    'rejected',
  ],
  [
    'a line without text',
    ['tokenize', '--model', 'quick/task/base', '--in', 'no-text.jsonl'],
    1,
    'no-text.jsonl line 1',
    '"text"',
  ],
  ['a temperature that is no number', [...generate, 'good.jsonl', '--temperature', 'NaN'], 2, '--temperature'],
  ['a learning rate that is no number', [...experimentRun, 'nan.yaml'], 1, 'nan.yaml', 'learningRate', 'NaN'],
  ['an unknown hyper-parameter', [...experimentRun, 'key.yaml'], 1, 'key.yaml', 'learninRate'],
  ['an unknown mode', [...experimentRun, 'mode.yaml'], 1, 'mode.yaml', 'mode must be one of', 'variance-weighted-kl'],
  ['a file that is no YAML', [...experimentRun, 'not.yaml'], 2, 'not.yaml'],
  ['a policy that does not exist', [...experimentRun, 'missing.yaml'], 1, 'missing.yaml', 'policy', 'nowhere'],
  ['an experiment without a prompt', [...experimentRun, 'no-prompt.yaml'], 1, 'nothing.jsonl: no prompt found'],
  ['a prompt that is a number', [...experimentRun, 'number.yaml'], 1, 'number.jsonl line 2: prompt is a number'],
  ['a prompt of unknown words', [...experimentRun, 'unknown-word.yaml'], 1, 'unknown-word.jsonl line 1', 'vocabulary'],
  [
    'a prompt of unknown words in a run',
    ['train', '--config', 'unknown-word-run.yaml', '--out', 'out'],
    1,
    'unknown-word.jsonl line 1',
  ],
  ['one member and a variance', [...experimentRun, 'one-member.yaml'], 1, 'variance'],
  [
    'an index outside the experiment',
    ['experiment', 'index', '--config', 'experiment.yaml', '--out', 'out', '--index', '9'],
    1,
    'index 9',
    '0 to 0',
  ],
  [
    'a member that does not exist',
    ['train', '--config', 'member.yaml', '--out', 'out'],
    1,
    'member.yaml: member: member 7',
  ],
  ['responses longer than the model', ['train', '--config', 'length.yaml', '--out', 'out'], 1, '400'],
  [
    'minibatches that do not divide a batch',
    ['train', '--config', 'divisor.yaml', '--out', 'out'],
    1,
    'minibatchSize 48',
  ],
  [
    'mapped weights for a run that trains them',
    ['train', '--config', 'run.yaml', '--out', 'out', '--weights', 'bf16-mapped'],
    1,
    'bf16-mapped holds weights that are not trained, so it needs lora',
  ],
  [
    'mapped weights for an experiment that trains them',
    [...experimentRun, 'experiment.yaml', '--weights', 'bf16-mapped'],
    1,
    'bf16-mapped holds weights that are not trained, so it needs lora',
  ],
  [
    'logits of all positions without any',
    ['logprobs', '--model', 'quick/task/base', '--in', 'good.jsonl', '--all-positions'],
    2,
    '--all-positions goes with --logits',
  ],
  ['a missing model folder', ['generate', '--model', 'nowhere', '--in', 'good.jsonl', '--out', 'out'], 1, 'nowhere'],
  [
    'a config that is no JSON',
    ['generate', '--model', 'no-config', '--in', 'good.jsonl', '--out', 'out'],
    1,
    'config.json',
  ],
  [
    'a weight of another shape',
    ['generate', '--model', 'wrong-shape', '--in', 'good.jsonl', '--out', 'out'],
    1,
    'c_attn',
  ],
  [
    'a truncated weight file',
    ['generate', '--model', 'truncated', '--in', 'good.jsonl', '--out', 'out'],
    1,
    'model.safetensors',
  ],
  [
    'an empty weight file',
    ['generate', '--model', 'no-weights', '--in', 'good.jsonl', '--out', 'out'],
    1,
    'model.safetensors',
  ],
  [
    'a policy in place of a reward model',
    ['score', '--model', 'quick/task/base', '--in', 'good.jsonl', '--out', 'out'],
    1,
    'reward',
  ],
  [
    'disagreement of one member',
    ['reward', 'disagree', '--ensemble', 'quick/judge', '--in', 'good.jsonl', '--out', 'out'],
    1,
    'one reward model',
  ],
  ['a port where nothing listens', ['runs', 'list', '--address', '127.0.0.1:1'], 1, '127.0.0.1:1'],
  ['a port that is no port', ['runs', 'list', '--address', 'localhost:99999999'], 2, '--address'],
  [
    'a folder that is not empty',
    ['model', 'create', '--like', 'quick/task/member-config.json', '--tokenizer', 'quick/task/base', '--out', 'quick'],
    1,
    'quick',
    'not empty',
  ],
  ['a report on nothing', ['report', 'quick/task'], 1, 'quick/task'],
  ['a backend that does not exist', [...generate, 'good.jsonl', '--backend', 'cuda'], 2, '--backend'],
  ['two things to score with', [...score, 'good.jsonl', '--model', 'quick/judge'], 2, 'exactly one'],
  [
    'an output below a file',
    [
      'generate',
      '--model',
      'quick/task/base',
      '--max-new-tokens',
      '9',
      '--in',
      'good.jsonl',
      '--out',
      'good.jsonl/out',
    ],
    1,
    'good.jsonl/out',
  ],
];

describe('bad input', () => {
  test.each(cases)(
    '%s is one line and the right status, and nothing is written',
    async (_, words, status, ...says) => {
      const before = await readdir(work.path);
      const ended = await surefoot(words, { cwd: work.path });
      expect(ended).toMatchObject({ status, stdout: '' });
      expect(ended.stderr.trimEnd().split('\n')).toHaveLength(1);
      for (const part of says) expect(ended.stderr).toContain(part);
      await expectNothingNew(before);
    },
    60_000,
  );

  test('a port in use is named by serve', async () => {
    const holder = createServer();
    await new Promise<void>((settle) => holder.listen(0, '127.0.0.1', settle));
    const address = `127.0.0.1:${(holder.address() as AddressInfo).port}`;
    try {
      const words = ['serve', 'reward-ensemble', '--model', 'quick/ensemble', '--address', address];
      const ended = await surefoot(words, { cwd: work.path });
      expect(ended.status).toBe(1);
      expect(ended.stderr.trimEnd().split('\n')).toHaveLength(1);
      expect(ended.stderr).toContain(address);
    } finally {
      holder.close();
    }
  }, 60_000);
});

const isRoot = process.getuid?.() === 0;
const mountable = isRoot && process.platform === 'linux' && canMount();
const disks = mountable ? describe : describe.skip;
if (!mountable) console.warn('SKIPPED: full and read-only disks need root and mount on Linux');

disks('a disk', () => {
  const disk = () => at('disk');
  const mount = (options: string) => {
    const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', disk()]);
    expect(status).toBe(0);
  };
  beforeAll(() => mkdir(disk()));
  afterAll(() => void spawnSync('umount', [disk()]));

  test.each([
    ['is full', 'size=64k', 'full'],
    ['is read-only', 'ro', 'read-only'],
  ])(
    'that %s is said in one line, and nothing half-written stays',
    async (_, options, says) => {
      mount(options);
      try {
        const words = ['model', 'create', '--like', 'quick/task/judge-config.json', '--tokenizer', 'quick/task/base'];
        const ended = await surefoot([...words, '--out', 'disk/model'], { cwd: work.path });
        expect(ended).toMatchObject({ status: 1, stdout: '' });
        expect(ended.stderr.trimEnd().split('\n')).toHaveLength(1);
        expect(ended.stderr).toContain(says);
        const quick = await surefoot([...tinyQuickstart, '--out', 'disk/quick'], { cwd: work.path });
        expect(quick).toMatchObject({ status: 1, stdout: '' });
        expect(quick.stderr).toContain(says);
        expect(existsSync(at('disk/model'))).toBe(false);
        expect(existsSync(at('disk/quick/task'))).toBe(false);
      } finally {
        spawnSync('umount', [disk()]);
      }
    },
    60_000,
  );
});

(isRoot ? test.skip : test)('an output folder without permission is named', async () => {
  await mkdir(at('closed'));
  await chmod(at('closed'), 0o500);
  const ended = await surefoot([...experimentRun.slice(0, 2), '--out', 'closed/x', '--config', 'experiment.yaml'], {
    cwd: work.path,
  });
  expect(ended).toMatchObject({ status: 1, stdout: '' });
  expect(ended.stderr).toContain('closed');
});

/** Where a command has failed, only logs, the note of what was asked and the record of a failed run may be new. */
async function expectNothingNew(before: string[]): Promise<void> {
  const created = (await readdir(work.path)).filter((name) => !before.includes(name));
  for (const name of created) {
    expect(name).toBe('out');
    for (const file of await readdir(at(name))) expect(['logs', 'runs', 'experiment.yaml', 'fit.json']).toContain(file);
    for (const id of existsSync(at(name, 'runs')) ? await readdir(at(name, 'runs')) : [])
      expect(JSON.parse(await readFile(at(name, 'runs', id, 'run.json'), 'utf8'))).toMatchObject({ status: 'failed' });
  }
  for (const name of created) await rm(at(name), { recursive: true });
}

function canMount(): boolean {
  const probe = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']);
  return probe.status === 0;
}
