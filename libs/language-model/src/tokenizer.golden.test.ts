import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { goldenPath } from '@surefoot/tensor/testing';
import type { ChatMessage } from './chat-template';
import { loadTokenizer } from './index';

interface TextCase {
  text: string;
  ids: number[];
  ids_with_template: number[];
  ids_special_as_text: number[];
  decoded: string;
  decoded_without_special: string;
}
interface ChatCase {
  title: string;
  messages: ChatMessage[];
  add_generation_prompt: boolean;
  text?: string;
  ids?: number[];
  error?: string;
}

// References: tokenizers 0.23.3, transformers 5.23.0, jinja2 3.1.6.
const read = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
const names = ['gpt2-type', 'gpt2-type-resaved', 'llama3-type', 'llama3-type-jinja-file', 'gemma-type'];

describe.each(names)('%s gives the ids and texts of the reference', (name) => {
  const folder = goldenPath('tokenizers', name);
  const goldenTest = folder ? test : test.skip;

  goldenTest('of texts', async () => {
    const tokenizer = await loadTokenizer(folder!);
    const golden = read(goldenPath('golden', 'tokenizers', `${name}.json`)!);
    expect(tokenizer).toMatchObject({
      vocabularySize: golden.vocab_size,
      bosTokenId: golden.bos_token_id,
      eosTokenId: golden.eos_token_id,
    });
    expect(tokenizer.padTokenId ?? null).toBe(golden.pad_token_id);
    const got = (golden.texts as TextCase[]).map(({ text, ids }) => ({
      text,
      ids: [...tokenizer.encode(text, { addSpecialTokens: false, allowSpecial: true })],
      ids_with_template: [...tokenizer.encode(text, { allowSpecial: true })],
      ids_special_as_text: [...tokenizer.encode(text, { addSpecialTokens: false })],
      decoded: tokenizer.decode(ids, { skipSpecialTokens: false }),
      decoded_without_special: tokenizer.decode(ids),
    }));
    expect(got).toEqual(golden.texts);
  });

  goldenTest('of ids cut inside a character', async () => {
    const tokenizer = await loadTokenizer(folder!);
    const cases = read(goldenPath('golden', 'tokenizers', `${name}.json`)!).partial_decodes as {
      ids: number[];
      decoded: string;
    }[];
    expect(cases.map(({ ids }) => tokenizer.decode(ids, { skipSpecialTokens: false }))).toEqual(
      cases.map((each) => each.decoded),
    );
  });
});

describe.each(['llama3-type', 'llama3-type-jinja-file', 'gemma-type'])('the chat template of %s', (name) => {
  const folder = goldenPath('tokenizers', name);
  const goldenTest = folder ? test : test.skip;

  goldenTest('renders, encodes and refuses conversations as the reference does', async () => {
    const tokenizer = await loadTokenizer(folder!);
    const conversations = read(goldenPath('golden', 'chat', `${name}.json`)!).conversations as ChatCase[];
    for (const { messages, add_generation_prompt, text, ids, error, title } of conversations) {
      const options = { addGenerationPrompt: add_generation_prompt };
      if (error) {
        expect(() => tokenizer.renderChat(messages, options)).toThrow(error.replace('TemplateError: ', ''));
        continue;
      }
      expect(tokenizer.renderChat(messages, options)).toBe(text);
      expect([...tokenizer.encodeChat(messages, { ...options, allowSpecial: true })]).toEqual(ids);
      const guarded = [...tokenizer.encodeChat(messages, options)];
      // Only special tokens that a message spells make a difference.
      if (title === 'special tokens in the text') expect(guarded).not.toEqual(ids);
      else expect(guarded).toEqual(ids);
    }
  });
});
