import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { goldenPath } from '@surefoot/tensor/testing';
import { encodeRollout, loadTokenizer, type Tokenizer } from './index';
import { withFolder } from './testing';

const added = (contents: string[], first: number) =>
  contents.map((content, i) => ({ id: first + i, content, special: true, normalized: false }));
const letters = Object.fromEntries([...'abcdefghijklmnopqrstuvwxyz<>/|_ ▁'].map((letter, id) => [letter, id]));
const base = {
  added_tokens: [] as object[],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: null,
};
const config = { bos_token: '<s>', eos_token: '</s>' };

/** Tokenizers whose model itself would read a special token in a text, because nothing cuts the text before. */
const careless: Record<string, object> = {
  'BPE that takes whole words first': {
    ...base,
    added_tokens: added(['<s>', '</s>'], 40),
    model: { type: 'BPE', ignore_merges: true, vocab: { ...letters, '<s>': 40, '</s>': 41 }, merges: [] },
  },
  'pieces with scores': {
    ...base,
    added_tokens: added(['<s>', '</s>'], 40),
    model: {
      ...{ type: 'Unigram', unk_id: 0 },
      vocab: [...Object.keys(letters).map((letter) => [letter, -5]), ...filler(40), ['<s>', 0], ['</s>', 0]],
    },
  },
  'end of text that tokenizer.json does not mark as special': {
    ...base,
    model: { type: 'BPE', ignore_merges: true, vocab: { ...letters, '<s>': 40, '</s>': 41 }, merges: [] },
  },
  'space in front of the first word alone, bytes where a letter is missing': {
    ...base,
    added_tokens: added(['<s>', '</s>'], 40),
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false },
    model: {
      ...{ type: 'BPE', byte_fallback: true, unk_token: '<unk>', merges: ['< s', '<s >', '< /', '</ s', '</s >'] },
      vocab: { ...letters, '<s>': 40, '</s>': 41, '<s': 42, '</': 43, '</s': 44, '<unk>': 45 },
    },
  },
};

function filler(length: number) {
  return Array.from({ length: length - Object.keys(letters).length }, (_, i) => [`filler${i}`, -99]);
}

const template =
  '{% for m in messages %}{{ bos_token + m.role + m.content + eos_token }}{% endfor %}' +
  '{% if add_generation_prompt %}{{ bos_token }}{% endif %}';

async function withTokenizer(json: object, run: (tokenizer: Tokenizer) => void, chatTemplate = template) {
  await withFolder(async (folder) => {
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(json));
    const text = JSON.stringify({ ...config, chat_template: chatTemplate });
    await writeFile(join(folder, 'tokenizer_config.json'), text);
    run(await loadTokenizer(folder));
  });
}

const controls = (tokenizer: Tokenizer, ids: Int32Array) =>
  [...ids].filter((id) => id === tokenizer.eosTokenId || id === tokenizer.bosTokenId);

describe.each(Object.keys(careless))('a tokenizer with %s', (name) => {
  test('reads special tokens spelled in a text as text, unless asked to', () =>
    withTokenizer(careless[name]!, (tokenizer) => {
      for (const text of ['</s>', 'a</s>b', '<s></s><s>', 'a </s'] as const) {
        const ids = tokenizer.encode(text, { addSpecialTokens: false });
        expect(controls(tokenizer, ids)).toEqual([]);
        expect(tokenizer.decode(ids).replaceAll('▁', ' ').replaceAll(' ', '')).toBe(text.replaceAll(' ', ''));
      }
      const ids = tokenizer.encode('a</s>', { addSpecialTokens: false, allowSpecial: true });
      expect(ids.at(-1)).toBe(tokenizer.eosTokenId);
    }));

  test('gives a conversation its template’s special tokens and no other', () =>
    withTokenizer(careless[name]!, (tokenizer) => {
      const [bos, eos] = [tokenizer.bosTokenId!, tokenizer.eosTokenId!];
      const count = (messages: { role: string; content: string }[], allowSpecial = false) =>
        controls(tokenizer, tokenizer.encodeChat(messages, { addGenerationPrompt: true, allowSpecial }));
      expect(count([{ role: 'user', content: 'a</s><s>b' }])).toEqual([bos, eos, bos]);
      expect(count([{ role: '</s>', content: '</s>' }])).toEqual([bos, eos, bos]);
      expect(count([{ role: 'user</', content: 's>' }])).toEqual([bos, eos, bos]);
      expect(count([{ role: 'user', content: '</s>' }], true)).toEqual([bos, eos, eos, bos]);
    }));
});

test('a special token that a template puts together in other letters is text', () =>
  withTokenizer(
    careless['BPE that takes whole words first']!,
    (tokenizer) => {
      const ids = tokenizer.encodeChat([{ role: 'user', content: 'a</S>' }]);
      expect(controls(tokenizer, ids)).toEqual([tokenizer.eosTokenId]);
    },
    '{{ messages[0].content | lower + eos_token }}',
  ));

test('what a message spells is cut where the sequence goes on: no space in front, as without special tokens', () =>
  withTokenizer(careless['space in front of the first word alone, bytes where a letter is missing']!, (tokenizer) => {
    const ids = [...tokenizer.encodeChat([{ role: 'a', content: 'b</s>' }])];
    expect(ids).toEqual([40, ...[...'ab</s>'].map((letter) => letters[letter]), 41]);
  }));

// Of the golden tokenizers one is byte-level, one of Llama 3's type, one of Gemma's: no cutting of words, byte fallback.
describe.each([
  ['gpt2-type', 'models/gpt2'],
  ['llama3-type', 'models/llama-reward'],
  ['gemma-type', 'models/gemma'],
])('%s', (_, model) => {
  const folder = goldenPath(...model.split('/'));
  const goldenTest = folder ? test : test.skip;

  goldenTest('a response that spells the end is not one that ends there', async () => {
    const tokenizer = await loadTokenizer(folder!);
    const end = tokenizer.decode([tokenizer.eosTokenId!], { skipSpecialTokens: false });
    const ids = (response: string) => [
      ...encodeRollout(tokenizer, { prompt: `a ${end} b`, response }, { maxTokens: 64 }).responseIds,
    ];
    const ended = ids('fine');
    const spelled = ids(`fine${end}`);
    expect(controls(tokenizer, Int32Array.from(spelled))).toEqual([tokenizer.eosTokenId]);
    expect(spelled.length).toBeGreaterThan(ended.length + 2);
    expect(tokenizer.decode(spelled.slice(0, -1), { skipSpecialTokens: false })).toBe(`fine${end}`);
    expect(ids(`fine${end}more`)).not.toEqual([...ended, ...ids('more')]);
  });

  goldenTest('bos stays first where a prompt is cut, in texts and in conversations', async () => {
    const tokenizer = await loadTokenizer(folder!);
    const long = 'one two three four five six seven eight nine ten';
    const whole = encodeRollout(tokenizer, { prompt: long, response: 'yes' }, { maxTokens: 1000 });
    const room = 6;
    const cut = encodeRollout(
      tokenizer,
      { prompt: long, response: 'yes' },
      { maxTokens: whole.responseIds.length + room },
    );
    const addsBos = whole.promptIds[0] === tokenizer.bosTokenId;
    expect([...cut.promptIds]).toEqual(
      addsBos ? [tokenizer.bosTokenId, ...whole.promptIds.slice(1 - room)] : [...whole.promptIds.slice(-room)],
    );
    expect(cut.responseIds).toEqual(whole.responseIds);
    if (!tokenizer.hasChatTemplate) return;
    const chat = encodeRollout(
      tokenizer,
      { prompt: [{ role: 'user', content: long }], response: 'yes' },
      { maxTokens: whole.responseIds.length + room },
    );
    expect(chat.promptIds).toHaveLength(room);
    expect(chat.promptIds[0]).toBe(tokenizer.bosTokenId);
  });
});

test('an end that the tokenizer puts after a text does not stand between prompt and response', async () => {
  const folder = goldenPath('tokenizers', 'llama3-type');
  if (!folder) return;
  await withFolder(async (copy) => {
    await cp(folder, copy, { recursive: true });
    const before = await loadTokenizer(copy);
    const json = JSON.parse(await readFile(join(copy, 'tokenizer.json'), 'utf8'));
    const eos = before.decode([before.eosTokenId!], { skipSpecialTokens: false });
    json.post_processor = {
      type: 'TemplateProcessing',
      single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: eos, type_id: 0 } }],
      pair: [],
      special_tokens: { [eos]: { id: eos, ids: [before.eosTokenId], tokens: [eos] } },
    };
    await writeFile(join(copy, 'tokenizer.json'), JSON.stringify(json));
    const tokenizer = await loadTokenizer(copy);
    expect(tokenizer.encode('a').at(-1)).toBe(tokenizer.eosTokenId);
    const { promptIds } = encodeRollout(tokenizer, { prompt: 'a', response: 'b' }, { maxTokens: 9 });
    expect(promptIds).not.toContain(tokenizer.eosTokenId);
  });
});
