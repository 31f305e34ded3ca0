import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { compileChatTemplate } from './chat-template';
import { encodeRollout, loadTokenizer, wordTokenizerFiles, type Tokenizer } from './index';
import { pythonStrip } from './python-strip';
import { smallVocabulary, withFolder, writeTokenizer } from './testing';

const template =
  '{% for message in messages %}{{ "<bos>" + message.role + " " + message.content | trim + "<eos>" }}{% endfor %}' +
  '{% if add_generation_prompt %}{{ "<bos>the" }}{% endif %}';
const config = { bos_token: '<bos>', eos_token: '<eos>', chat_template: template };

function withTokenizer(run: (tokenizer: Tokenizer) => void, replaced: Record<string, string> = {}): Promise<void> {
  return withFolder(async (folder) => {
    await writeTokenizer(folder, replaced);
    run(await loadTokenizer(folder));
  });
}

describe('a word tokenizer', () => {
  test('gives one id a word after bos, and joins words by spaces', () =>
    withTokenizer((tokenizer) => {
      const ids = tokenizer.encode('how is the soup ?');
      expect([...ids]).toEqual([0, 2, 3, 4, 5, 6]);
      expect(tokenizer.decode(ids)).toBe('how is the soup ?');
      expect(tokenizer.decode([5, 3, 8, 1], { skipSpecialTokens: false })).toBe('soup is good <eos>');
      expect([...tokenizer.encode('  soup\n.', { addSpecialTokens: false })]).toEqual([5, 11]);
      expect([...tokenizer.encode('')]).toEqual([0]);
      expect(tokenizer).toMatchObject({ vocabularySize: 13, bosTokenId: 0, eosTokenId: 1, hasChatTemplate: false });
    }));

  test('reads special tokens in a text only when that is allowed', () =>
    withTokenizer((tokenizer) => {
      expect([...tokenizer.encode('soup <eos>', { allowSpecial: true })]).toEqual([0, 5, 1]);
      expect(() => tokenizer.encode('soup <eos>')).toThrow('token 2 of the text is not in the vocabulary');
    }));

  test('refuses a word that it does not have', () =>
    withTokenizer((tokenizer) => {
      for (const text of ['how is the pudding ?', 'soups', 'Soup'])
        expect(() => tokenizer.encode(text)).toThrow(expect.objectContaining({ kind: 'invalid_argument' }));
    }));

  test('passes over ids that only the model has', () =>
    withTokenizer((tokenizer) => {
      expect(tokenizer.decode([4, 999, 5])).toBe('the soup');
      expect(tokenizer.decode([999])).toBe('');
      expect(tokenizer.decode([])).toBe('');
    }));

  test.each([
    [['<bos>', '<eos>', 'a', 'a'], '"a": it is given twice'],
    [['<bos>', 'a'], '"<eos>": this special token is missing'],
    [['<bos>', '<eos>', 'two words'], '"two words"'],
    [['<bos>', '<eos>', "it's"], 'one punctuation mark'],
    [['<bos>', '<eos>', ''], '""'],
  ])('cannot have the words %j', (words, message) => {
    expect(() => wordTokenizerFiles(words, { bos: '<bos>', eos: '<eos>' })).toThrow(message);
  });
});

describe('loadTokenizer', () => {
  test.each([
    ['tokenizer.json', 'not json', 'tokenizer.json is not JSON'],
    ['tokenizer.json', '[]', 'tokenizer.json is no JSON object'],
    ['tokenizer.json', '{"added_tokens": [1]}', 'added_tokens is no list'],
    ['tokenizer.json', '{"model": {"type": "None"}}', 'its model is of type "None"'],
    ['tokenizer_config.json', '[]', 'tokenizer_config.json is no JSON object'],
    ['chat_template.jinja', '{% if %}', 'chat_template.jinja is no Jinja template'],
  ])('%s with %s is refused by name', async (name, content, message) => {
    await expect(withTokenizer(() => undefined, { [name]: content })).rejects.toMatchObject({
      kind: 'invalid_argument',
      message: expect.stringContaining(message),
    });
  });

  test('a folder without tokenizer.json is not found', async () => {
    await withFolder(async (folder) => {
      await expect(loadTokenizer(folder)).rejects.toMatchObject({ kind: 'not_found' });
    });
  });

  test('the digest changes with vocabulary, special tokens and chat template', async () => {
    const digests = new Set<string>();
    const keep = (tokenizer: Tokenizer) => digests.add(tokenizer.digest);
    await withTokenizer(keep);
    await withTokenizer(keep);
    expect(digests.size).toBe(1);
    await withTokenizer(keep, { 'tokenizer_config.json': JSON.stringify(config) });
    await withTokenizer(keep, { 'tokenizer_config.json': '{}' });
    const other = [...smallVocabulary].reverse();
    await withTokenizer(keep, wordTokenizerFiles(other, { bos: '<bos>', eos: '<eos>' }));
    expect(digests.size).toBe(4);
  });
});

describe('conversations', () => {
  const chat = { 'tokenizer_config.json': JSON.stringify(config) };

  test('are rendered by the template, and special tokens in messages stay text', () =>
    withTokenizer((tokenizer) => {
      const messages = [{ role: 'how', content: ' is good ' }];
      expect(tokenizer.renderChat(messages)).toBe('<bos>how is good<eos>');
      const options = { addGenerationPrompt: true };
      expect([...tokenizer.encodeChat(messages, options)]).toEqual([0, 2, 3, 8, 1, 0, 4]);
      const injected = [{ role: 'how', content: 'is<eos><bos>soup' }];
      expect([...tokenizer.encodeChat(injected, { allowSpecial: true })]).toEqual([0, 2, 3, 1, 0, 5, 1]);
      expect(() => tokenizer.encodeChat(injected)).toThrow('is not in the vocabulary');
    }, chat));

  test('a template in chat_template.jinja comes before the one in tokenizer_config.json', () =>
    withTokenizer(
      (tokenizer) => {
        expect(tokenizer.renderChat([{ role: 'how', content: 'is' }])).toBe('1');
      },
      { ...chat, 'chat_template.jinja': '{{ messages | length }}' },
    ));

  test('the default one of several named templates is taken', () =>
    withTokenizer(
      (tokenizer) => {
        expect(tokenizer.renderChat([])).toBe('b');
      },
      {
        'tokenizer_config.json': JSON.stringify({
          chat_template: [
            { name: 'tool_use', template: 'a' },
            { name: 'default', template: 'b' },
          ],
        }),
      },
    ));

  test('need a template', () =>
    withTokenizer((tokenizer) => {
      expect(() => tokenizer.renderChat([])).toThrow(expect.objectContaining({ kind: 'failed_precondition' }));
    }));
});

describe('strip', () => {
  test('takes what Python takes', () => {
    const ends = '\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2003\u2028\u3000';
    expect(pythonStrip(`${ends}a b${ends}`)).toBe('a b');
    expect(pythonStrip(' \ufeffa\u200b ')).toBe('\ufeffa\u200b');
    expect(pythonStrip(' a ', 'left')).toBe('a ');
    expect(pythonStrip(' a ', 'right')).toBe(' a');
    expect(pythonStrip('-.a.-', 'both', '.-')).toBe('a');
    expect(pythonStrip(`a${' '.repeat(200_000)}b`)).toHaveLength(200_002);
  });

  test('is what templates use, as filter and as method', () => {
    const render = (text: string) =>
      compileChatTemplate(text, {}, 'template')([{ role: 'user', content: '\x85\n a \x1c' }], false);
    expect(render('[{{ messages[0].content | trim }}]')).toBe('[a]');
    expect(render('[{{ messages[0]["content"].strip() }}]')).toBe('[a]');
    expect(render('[{{ (messages[0].content | trim).rstrip("a") }}]')).toBe('[]');
    expect(render('[{{ ("x" + messages[0].content).lstrip("x").strip() | upper }}]')).toBe('[A]');
    expect(render('{% if messages[0].content | trim == "a" %}yes{% endif %}')).toBe('yes');
  });
});

describe('encodeRollout', () => {
  const rollout = { prompt: 'how is the soup ?', response: 'good .' };

  test('puts bos before the prompt and eos after a response that was not cut', () =>
    withTokenizer((tokenizer) => {
      const whole = encodeRollout(tokenizer, rollout, { maxTokens: 18 });
      expect([[...whole.promptIds], [...whole.responseIds]]).toEqual([
        [0, 2, 3, 4, 5, 6],
        [8, 11, 1],
      ]);
      const cut = encodeRollout(tokenizer, { ...rollout, truncated: true }, { maxTokens: 18 });
      expect([...cut.responseIds]).toEqual([8, 11]);
    }));

  test('a prompt loses its start after bos, a response its end only where that is asked for', () =>
    withTokenizer((tokenizer) => {
      const { promptIds, responseIds } = encodeRollout(tokenizer, rollout, { maxTokens: 5 });
      expect([[...promptIds], [...responseIds]]).toEqual([
        [0, 6],
        [8, 11, 1],
      ]);
      expect(encodeRollout(tokenizer, rollout, { maxTokens: 3 }).promptIds).toHaveLength(0);
      expect(() => encodeRollout(tokenizer, rollout, { maxTokens: 2 })).toThrow('3 tokens, at most 2 fit');
      const cut = encodeRollout(tokenizer, rollout, { maxTokens: 2, cutResponse: true });
      expect([[...cut.promptIds], [...cut.responseIds]]).toEqual([[], [8, 11]]);
      const fits = { maxTokens: 5, cutResponse: true };
      expect([...encodeRollout(tokenizer, rollout, fits).responseIds]).toEqual([8, 11, 1]);
    }));

  test('an empty response that was cut is refused', () =>
    withTokenizer((tokenizer) => {
      const empty = { ...rollout, response: '', truncated: true };
      expect(() => encodeRollout(tokenizer, empty, { maxTokens: 18 })).toThrow('the response is empty');
    }));

  test('a conversation is rendered with the opening of the answer', async () => {
    await withFolder(async (folder) => {
      await writeTokenizer(folder);
      await writeFile(join(folder, 'chat_template.jinja'), template);
      const tokenizer = await loadTokenizer(folder);
      const prompt = [{ role: 'how', content: 'is' }];
      const { promptIds } = encodeRollout(tokenizer, { prompt, response: 'good' }, { maxTokens: 18 });
      expect([...promptIds]).toEqual([0, 2, 3, 1, 0, 4]);
    });
  });
});
