import { execFileSync } from 'node:child_process';
import { cp, mkdir, open, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { wordTokenizerFiles } from '@surefoot/language-model';
import { expectDone, surefoot } from './testing';

/** One file, or several, that somebody made to do harm, and the command that comes across them. */
export interface HostileFile {
  title: string;
  /** The folder is a copy of `base`, a causal model, where `of` does not say otherwise. */
  of?: 'base' | 'ensemble' | 'nothing';
  prepare: (folder: string) => Promise<unknown>;
  /** What is asked, in a folder where it is `hostile`, and what is sound one higher. Default: `logprobs` of the model. */
  words?: string[];
  /** What the one line says besides the folder's name. */
  says: RegExp;
}

const vocabulary = ['<bos>', '<eos>', 'how', 'is', 'the', 'soup', '?', 'very', 'good', 'and', 'hot', '.', 'well'];
const goodLines = [
  { id: 'x', prompt: 'how is the soup ?', response: 'very good .' },
  { id: 'y', prompt: 'is the soup hot ?', response: 'very hot .' },
];
const configOf = (head: 'GPT2LMHeadModel' | 'GPT2ForSequenceClassification') => ({
  ...{ model_type: 'gpt2', architectures: [head], vocab_size: 13, n_embd: 16, n_layer: 2, n_head: 2, n_positions: 24 },
  ...{ bos_token_id: 0, eos_token_id: 1, pad_token_id: 1 },
  ...(head === 'GPT2ForSequenceClassification' && { num_labels: 1 }),
});

/** Writes what there is to be spoilt, `base`, `reward` and `ensemble`, and what is asked of it. */
export async function writeSound(folder: string): Promise<void> {
  const json = (name: string, value: unknown) => writeFile(join(folder, name), JSON.stringify(value));
  const lines = (name: string, rows: unknown[]) =>
    writeFile(join(folder, name), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  await mkdir(join(folder, 'words'));
  for (const [name, content] of Object.entries(wordTokenizerFiles(vocabulary, { bos: '<bos>', eos: '<eos>' })))
    await writeFile(join(folder, 'words', name), content);
  await json('init.json', { tokenEmbedding: 0.6, positionEmbedding: 0.1, head: 0.6, matrices: 'fan-in' });
  for (const [name, head, seed] of [
    ['base', 'GPT2LMHeadModel', '0'],
    ['reward', 'GPT2ForSequenceClassification', '1'],
    ['other', 'GPT2ForSequenceClassification', '2'],
  ] as const) {
    await json(`${name}.json`, configOf(head));
    const words = ['model', 'create', '--like', `${name}.json`, '--tokenizer', 'words', '--seed', seed, '--out', name];
    // GPT-2's own head starts near zero: all scores would be the same.
    if (name !== 'base') words.push('--init', 'init.json');
    expectDone(await surefoot(words, { cwd: folder, env: { SUREFOOT_BACKEND: 'wasm' } }));
  }
  const members = [0, 1].map((k) => ({ seed: k, path: `member-${k}`, sha256: '', mean: 0, scale: 1 }));
  for (const [k, { path }] of members.entries())
    await cp(join(folder, k === 0 ? 'reward' : 'other'), join(folder, 'ensemble', path), { recursive: true });
  await json('ensemble/ensemble.json', { format: 1, name: 'two', kind: 'full', base: null, members });
  await lines('good.jsonl', goodLines);
  await lines('good-text.jsonl', [{ text: 'how is the soup ?' }]);
  await lines('messages.jsonl', [{ messages: [{ role: 'user', content: 'how is the soup ?' }] }]);
}

/** The bytes of a safetensors file. */
function safetensors(header: object | string, data: Buffer | number = 0): Buffer {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, typeof data === 'number' ? Buffer.alloc(data) : data]);
}

// What is spoilt is known to whoever spoils it.
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type AnyJson = any;
type Header = Record<string, AnyJson>;

const weightsName = 'model.safetensors';
const weights = (content: () => Buffer) => (folder: string) => writeFile(join(folder, weightsName), content());
/** Changes the header of the model's own weights. */
const withHeader = (change: (header: Header) => object | void, suffix: Uint8Array = Buffer.alloc(0)) => {
  return async (folder: string) => {
    const path = join(folder, weightsName);
    const bytes = await readFile(path);
    const end = 8 + Number(bytes.readBigUInt64LE());
    const header = JSON.parse(bytes.subarray(8, end).toString()) as Header;
    await writeFile(path, safetensors(change(header) ?? header, Buffer.concat([bytes.subarray(end), suffix])));
  };
};
const withWeights = (change: (data: Float32Array) => void) => async (folder: string) => {
  const path = join(folder, weightsName);
  const bytes = await readFile(path);
  const start = 8 + Number(bytes.readBigUInt64LE());
  const data = new Float32Array(new Uint8Array(bytes.subarray(start)).buffer);
  change(data);
  await writeFile(path, Buffer.concat([bytes.subarray(0, start), Buffer.from(data.buffer)]));
};
const withJson = (name: string, change: (json: AnyJson) => unknown) => async (folder: string) => {
  const path = join(folder, name);
  const json: unknown = JSON.parse(await readFile(path, 'utf8'));
  await writeFile(path, JSON.stringify(change(json) ?? json));
};
const text = (name: string, content: string | Buffer) => (folder: string) => writeFile(join(folder, name), content);
const replaced = async (folder: string, name: string, put: (path: string) => unknown) => {
  await rm(join(folder, name), { force: true });
  await put(join(folder, name));
};
const fifo = (name: string) => (folder: string) => replaced(folder, name, (path) => execFileSync('mkfifo', [path]));
const folderInstead = (name: string) => (folder: string) => replaced(folder, name, (path) => mkdir(path));
const linkTo = (name: string, target: string) => (folder: string) =>
  replaced(folder, name, (path) => symlink(target, path));
/** A file that says it is long and takes no room. */
const sparse =
  (name: string, bytes: number, begin: Uint8Array = Buffer.alloc(0)) =>
  async (folder: string) => {
    const handle = await open(join(folder, name), 'w');
    await handle.write(begin);
    await handle.truncate(bytes);
    await handle.close();
  };
const index = (weightMap: unknown, more: (folder: string) => Promise<unknown> = async () => undefined) => {
  return async (folder: string) => {
    await cp(join(folder, weightsName), join(folder, 'shard.safetensors'));
    await rm(join(folder, weightsName));
    await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }));
    await more(folder);
  };
};
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth);
const megabyte = 2 ** 20;

const hostileWeights: HostileFile[] = [
  {
    title: 'a header of 2^63 bytes',
    prepare: weights(() => Buffer.from('ffffffffffffff7f7b7d', 'hex')),
    says: /header/,
  },
  {
    title: 'a header longer than the file',
    prepare: weights(() => safetensors({}).fill(0xff, 0, 3)),
    says: /header/,
  },
  {
    title: 'a header of 100 MB of blanks',
    prepare: weights(() => safetensors(' '.repeat(100 * megabyte))),
    says: /header/,
  },
  {
    title: 'a header nested 40 million deep',
    prepare: weights(() => safetensors(`{"a":${nested(20 * megabyte)}}`)),
    says: /nested|header/,
  },
  {
    title: 'a header of a million tensors of no bytes',
    prepare: weights(() => {
      const one = (name: number) => `"t${name}":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}`;
      return safetensors(`{${Array.from({ length: 1_000_000 }, (_, k) => one(k)).join()}}`);
    }),
    says: /safetensors/,
  },
  {
    title: 'tensors that overlap',
    prepare: withHeader((header) => {
      const names = Object.keys(header).filter((name) => header[name].dtype);
      const [begin, end] = header[names[1]!].data_offsets;
      header[names[0]!].data_offsets = [begin, end];
      header[names[0]!].shape = header[names[1]!].shape;
    }),
    says: /begins at byte/,
  },
  {
    title: 'a negative offset',
    prepare: withHeader((header) => {
      header[Object.keys(header).find((name) => header[name].dtype)!].data_offsets = [-4, 4];
    }),
    says: /data_offsets/,
  },
  {
    title: 'a tensor beyond the end',
    prepare: withHeader((header) => {
      header['evil'] = { dtype: 'F32', shape: [2 ** 40], data_offsets: [2 ** 30, 2 ** 30 + 2 ** 42] };
    }),
    says: /byte/,
  },
  {
    title: 'a shape whose size overflows',
    prepare: withHeader((header) => {
      header[Object.keys(header).find((name) => header[name].dtype)!].shape = [2 ** 32, 2 ** 32, 2 ** 32];
    }),
    says: /needs|shape/,
  },
  {
    title: 'a tensor given twice',
    prepare: weights(() =>
      safetensors(
        '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        4,
      ),
    ),
    says: /twice/,
  },
  {
    title: 'a tensor named __proto__',
    prepare: weights(() => safetensors('{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4)),
    says: /__proto__|is missing|bytes/,
  },
  {
    title: 'bytes after the last tensor',
    prepare: withHeader(() => undefined, Buffer.alloc(100)),
    says: /100 bytes after/,
  },
  {
    title: 'an unknown dtype',
    prepare: withHeader((header) => {
      header[Object.keys(header).find((name) => header[name].dtype)!].dtype = 'constructor';
    }),
    says: /dtype/,
  },
  { title: 'weights that are not a number', prepare: withWeights((data) => data.fill(NaN)), says: /finite/ },
  { title: 'one weight that is infinite', prepare: withWeights((data) => (data[5] = Infinity)), says: /finite/ },
  { title: 'an empty weight file', prepare: weights(() => Buffer.alloc(0)), says: /model\.safetensors/ },
  {
    title: 'a pickle with the name of safetensors',
    prepare: weights(() => Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(1000, 'pickle')])),
    says: /model\.safetensors/,
  },
  {
    title: 'pickled weights alone',
    prepare: (folder) => replaced(folder, weightsName, () => writeFile(join(folder, 'pytorch_model.bin'), 'x')),
    says: /pickle/i,
  },
  { title: 'a pipe in place of the weights', prepare: fifo(weightsName), says: /model\.safetensors/ },
  { title: 'a folder in place of the weights', prepare: folderInstead(weightsName), says: /model\.safetensors/ },
  {
    title: 'a device without end in place of the weights',
    prepare: linkTo(weightsName, '/dev/zero'),
    says: /model\.safetensors/,
  },
  { title: 'weights that link to themselves', prepare: linkTo(weightsName, weightsName), says: /model\.safetensors/ },
  {
    title: 'a terabyte of weights that is not there',
    prepare: sparse(weightsName, 2 ** 40, safetensors({ a: { dtype: 'F32', shape: [1], data_offsets: [0, 4] } })),
    says: /model\.safetensors/,
  },
];

const hostileIndexes: HostileFile[] = [
  {
    title: 'an index that names a file outside',
    prepare: index({ 'wte.weight': '../good.jsonl' }),
    says: /index\.json/,
  },
  { title: 'an index that names /etc/passwd', prepare: index({ 'wte.weight': '/etc/passwd' }), says: /index\.json/ },
  {
    title: 'an index that names a shard that is not there',
    prepare: index({ 'wte.weight': 'x.safetensors' }),
    says: /x\.safetensors/,
  },
  { title: 'an index that names itself', prepare: index({ a: 'model.safetensors.index.json' }), says: /index\.json/ },
  { title: 'an index that names numbers', prepare: index({ a: 7 }), says: /index\.json/ },
  { title: 'an index that maps nothing', prepare: index([]), says: /index\.json/ },
  {
    title: 'an index nested 20 million deep',
    prepare: index({}, text('model.safetensors.index.json', nested(10 * megabyte))),
    says: /index\.json/,
  },
];

const configName = 'config.json';
const hostileConfigs: HostileFile[] = [
  { title: 'a config nested 40 million deep', prepare: text(configName, nested(20 * megabyte)), says: /config\.json/ },
  { title: 'a config of 10 GB', prepare: sparse(configName, 10 * 2 ** 30), says: /config\.json/ },
  { title: 'a config of 600 MB', prepare: sparse(configName, 600 * megabyte), says: /config\.json/ },
  { title: 'a pipe in place of the config', prepare: fifo(configName), says: /config\.json/ },
  {
    title: 'a device without end in place of the config',
    prepare: linkTo(configName, '/dev/zero'),
    says: /config\.json/,
  },
  { title: 'a config that is null', prepare: text(configName, 'null'), says: /config\.json/ },
  ...(
    [
      ['n_layer', 1e9],
      ['n_layer', -1],
      ['n_layer', 1.5],
      ['vocab_size', 1e15],
      ['n_embd', 0],
      ['n_head', 3],
      ['n_positions', '24; rm -rf /'],
      ['layer_norm_epsilon', 'NaN'],
      ['activation_function', 'constructor'],
      ['model_type', '__proto__'],
      ['architectures', ['constructor']],
      ['eos_token_id', 2 ** 40],
    ] as const
  ).map(([field, value]) => ({
    title: `a config whose ${field} is ${JSON.stringify(value)}`,
    prepare: withJson(configName, (json) => ({ ...json, [field]: value })),
    says: /config\.json/,
  })),
];

const tokenizerName = 'tokenizer.json';
const hostileTokenizers: HostileFile[] = [
  {
    title: 'a tokenizer nested 40 million deep',
    prepare: text(tokenizerName, nested(20 * megabyte)),
    says: /tokenizer\.json/,
  },
  { title: 'a pipe in place of the tokenizer', prepare: fifo(tokenizerName), says: /tokenizer\.json/ },
  { title: 'a tokenizer that is a list', prepare: text(tokenizerName, '[]'), says: /tokenizer\.json/ },
  {
    title: 'a tokenizer without a model',
    prepare: withJson(tokenizerName, ({ model: _, ...json }) => json),
    says: /tokenizer/,
  },
  {
    title: 'a tokenizer whose model is of an unknown kind',
    prepare: withJson(tokenizerName, (json) => ({ ...json, model: { ...json.model, type: 'Evil' } })),
    says: /tokenizer/,
  },
  {
    title: 'a token whose id is four billion',
    prepare: withJson(tokenizerName, (json) => {
      json.model.vocab['soup'] = 4_000_000_000;
    }),
    says: /tokenizer|vocabulary/,
  },
  {
    title: 'an id that is negative',
    prepare: withJson(tokenizerName, (json) => {
      json.model.vocab['soup'] = -1;
    }),
    says: /tokenizer|vocabulary/,
  },
  {
    title: 'a pattern that backtracks for ages',
    prepare: withJson(tokenizerName, (json) => {
      const pattern = { Regex: '(([a-z]|\\s)+)+$1' };
      json.pre_tokenizer = { type: 'Split', pattern, behavior: 'Isolated', invert: false };
    }),
    says: /tokenizer/,
  },
  {
    title: 'a normalizer whose text grows without end',
    prepare: withJson(tokenizerName, (json) => {
      const double = { type: 'Replace', pattern: { Regex: '.' }, content: 'aaaaaaaaaaaaaaaa' };
      json.normalizer = { type: 'Sequence', normalizers: Array.from({ length: 12 }, () => double) };
    }),
    says: /tokenizer/,
  },
];

/** Templates meet messages in `tokenize`. */
const template = (title: string, jinja: string, says = /chat_template\.jinja/): HostileFile => ({
  title: `a template ${title}`,
  prepare: text('chat_template.jinja', jinja),
  words: ['tokenize', '--model', 'hostile', '--in', '../messages.jsonl', '--out', 'out'],
  says,
});
const hostileTemplates: HostileFile[] = [
  template('that loops a billion times', '{% for i in range(1000000000) %}{% endfor %}'),
  template('that loops in loops in loops', `${'{% for i in range(10000) %}'.repeat(5)}${'{% endfor %}'.repeat(5)}`),
  template(
    'that doubles its output a hundred times',
    "{% set ns = namespace(x='soup ') %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
  ),
  template('that writes gigabytes', "{% for i in range(3000000) %}{{ 'soup ' * 1 }}{{ messages }}{% endfor %}"),
  template('that calls itself', '{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}'),
  template('that is no Jinja', '{% for %}'),
  template('nested 100000 deep', '{% if true %}'.repeat(100_000)),
  template('of parentheses 100000 deep', `{{ ${'('.repeat(100_000)}1${')'.repeat(100_000)} }}`),
  template(
    'that reaches for the machine',
    "{{ messages.constructor.constructor('return process')().mainModule.require('fs').writeFileSync('out', 'x') }}",
  ),
  template('that reaches for prototypes', "{{ ''['constructor']['constructor']('return 1')() }}"),
];

const rows = (title: string, name: string, content: () => Buffer | string, says: RegExp): HostileFile => ({
  title,
  of: 'nothing',
  prepare: async (folder) => {
    await mkdir(folder);
    await writeFile(join(folder, name), content());
  },
  words: ['logprobs', '--model', '../base', '--in', `hostile/${name}`, '--out', 'out'],
  says,
});
const pairs = (file: HostileFile, name: string): HostileFile => ({
  ...file,
  words: [
    ...['reward', 'train', '--like', '../reward/config.json', '--tokenizer', '../base', '--members', '1'],
    ...['--pairs', `hostile/${name}`, '--out', 'out'],
  ],
});
const hostileRows: HostileFile[] = [
  rows(
    'gzip that unpacks to one line without end',
    'in.jsonl',
    () => gzipSync(Buffer.alloc(200 * megabyte, 'a')),
    /longer than/,
  ),
  rows('gzip in gzip', 'in.jsonl', () => gzipSync(gzipSync(Buffer.alloc(1000))), /UTF-8|JSON/),
  rows('a line nested 40 million deep', 'in.jsonl', () => nested(20 * megabyte), /line 1/),
  rows(
    'a line whose keys are those of prototypes',
    'in.jsonl',
    () => '{"__proto__": {"ids": [1]}, "constructor": 1}',
    /line 1/,
  ),
  pairs(
    rows(
      'Parquet with a footer longer than the file',
      'in.parquet',
      () => Buffer.concat([Buffer.from('PAR1'), Buffer.alloc(20), Buffer.from('ffffff7f', 'hex'), Buffer.from('PAR1')]),
      /in\.parquet/,
    ),
    'in.parquet',
  ),
  pairs(
    rows(
      'Parquet that is noise',
      'in.parquet',
      () =>
        Buffer.concat([
          Buffer.from('PAR1'),
          Buffer.alloc(5000, '\x15\x04\x19\x5c'),
          Buffer.from('88130000', 'hex'),
          Buffer.from('PAR1'),
        ]),
      /in\.parquet/,
    ),
    'in.parquet',
  ),
  pairs(
    rows('Parquet of four bytes', 'in.parquet', () => 'PAR1', /in\.parquet/),
    'in.parquet',
  ),
];

const ensembleName = 'ensemble.json';
const ensemble = (title: string, prepare: HostileFile['prepare'], says = /ensemble\.json/): HostileFile => ({
  ...{ title: `an ensemble ${title}`, of: 'ensemble', prepare, says },
  words: ['score', '--ensemble', 'hostile', '--in', '../good.jsonl', '--out', 'out'],
});
const member = (change: object) =>
  withJson(ensembleName, (json) => {
    Object.assign(json.members[1], change);
  });
const hostileEnsembles: HostileFile[] = [
  ensemble('with a member outside', member({ path: '../reward' })),
  ensemble('with a member at an absolute path', member({ path: '/etc' })),
  ensemble('with a member of another digest', member({ sha256: 'a'.repeat(64) }), /member-1|sha256|digest/),
  ensemble('whose scale is infinite', async (folder) => {
    const path = join(folder, ensembleName);
    await writeFile(path, (await readFile(path, 'utf8')).replace('"scale":1', '"scale":1e999'));
  }),
  ensemble('that is nested', text(ensembleName, nested(20 * megabyte))),
  ensemble('that is a pipe', fifo(ensembleName)),
  ensemble(
    'of a million members',
    withJson(ensembleName, (json) => {
      json.members = Array.from({ length: 1_000_000 }, (_, k) => ({ ...json.members[0], path: `member-${k}` }));
    }),
    /member/,
  ),
  ensemble(
    'whose kind is unknown',
    withJson(ensembleName, (json) => ({ ...json, kind: '__proto__' })),
  ),
  ensemble(
    'whose member has the weights of NaN',
    async (folder) => {
      await withWeights((data) => data.fill(NaN))(join(folder, 'member-1'));
    },
    /finite|member-1|digest/,
  ),
];

const adapterConfig = { peft_type: 'LORA', task_type: 'CAUSAL_LM', r: 2, lora_alpha: 4, target_modules: ['c_attn'] };
/** Factors of all adapted matrices: [r, 16] and [48, r]. */
const adapterTensors = (r = 2, value = 0) => {
  const shapes = [0, 1].flatMap((layer) => {
    const name = `base_model.model.transformer.h.${layer}.attn.c_attn`;
    return [[`${name}.lora_A.weight`, [r, 16]] as const, [`${name}.lora_B.weight`, [48, r]] as const];
  });
  let begin = 0;
  const header = shapes.map(([name, shape]) => {
    const offsets = [begin, (begin += 4 * shape[0]! * shape[1]!)];
    return [name, { dtype: 'F32', shape, data_offsets: offsets }];
  });
  return safetensors(Object.fromEntries(header), Buffer.from(new Float32Array(begin / 4).fill(value).buffer));
};
const adapter = (
  title: string,
  change: object,
  says = /adapter_config\.json/,
  content?: () => Buffer,
): HostileFile => ({
  ...{ title: `an adapter ${title}`, of: 'nothing', says },
  prepare: async (folder) => {
    await mkdir(folder);
    await writeFile(
      join(folder, 'adapter_config.json'),
      JSON.stringify({ ...adapterConfig, fan_in_fan_out: true, ...change }),
    );
    await writeFile(join(folder, 'adapter_model.safetensors'), content?.() ?? adapterTensors());
  },
  words: ['logprobs', '--model', '../base', '--adapter', 'hostile', '--in', '../good.jsonl', '--out', 'out'],
});
const hostileAdapters: HostileFile[] = [
  adapter('of rank a billion', { r: 1e9 }, /hostile/),
  adapter('of rank 0', { r: 0 }),
  adapter('whose alpha is text', { lora_alpha: '4; rm -rf /' }),
  adapter('whose pattern backtracks for ages', { target_modules: '((((.*)*)*)*)*X' }),
  adapter('whose pattern is none', { target_modules: '((((' }),
  adapter('whose pattern gives rank a billion', { rank_pattern: { '((((.*)*)*)*)*': 1e9 } }, /rank|shape/),
  adapter('that targets nothing', { target_modules: ['constructor', '__proto__'] }),
  adapter('of another kind', { peft_type: 'PREFIX_TUNING' }),
  adapter('with factors of another shape', {}, /adapter_model\.safetensors/, () => adapterTensors(3)),
  adapter('of NaN', {}, /finite/, () => adapterTensors(2, NaN)),
  adapter('without a header', {}, /adapter_model\.safetensors/, () => Buffer.from('ffffffffffffff7f7b7d', 'hex')),
  {
    ...adapter('that is pickled', {}, /pickle|adapter_model/),
    prepare: async (folder) => {
      await mkdir(folder);
      await writeFile(join(folder, 'adapter_config.json'), JSON.stringify(adapterConfig));
      await writeFile(join(folder, 'adapter_model.bin'), 'PK');
    },
  },
];

/** Every one of them. */
export const hostileFiles: HostileFile[] = [
  ...hostileWeights,
  ...hostileIndexes,
  ...hostileConfigs,
  ...hostileTokenizers,
  ...hostileTemplates,
  ...hostileRows,
  ...hostileEnsembles,
  ...hostileAdapters,
];
