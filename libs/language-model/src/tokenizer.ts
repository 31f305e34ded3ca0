import * as library from '@huggingface/tokenizers';
import { DomainError } from '@surefoot/errors';
import { digestText } from '@surefoot/files';
import { repairByteFallback, type LibraryDecoder } from './byte-fallback';
import { compileChatTemplate, type ChatMessage, type ChatTemplate } from './chat-template';
import { cutSpecialTokens, renderApart } from './special-tokens';
import type { AddedToken } from './tokenizer-checks';
import { readTokenizerFiles, type TokenizerFiles } from './tokenizer-files';
import { probes, withinTime } from './tokenizer-probe';

/** Text to token ids and back, with the chat template of the same folder. */
export interface Tokenizer {
  /**
   * @param options.addSpecialTokens add what the tokenizer puts around a text, such as a bos token; default true
   * @param options.allowSpecial read special tokens spelled in the text as those tokens; default false: they are ordinary text
   * @throws DomainError invalid_argument if the text holds something the vocabulary cannot express
   */
  encode(text: string, options?: { addSpecialTokens?: boolean; allowSpecial?: boolean }): Int32Array;
  /** Ids that the vocabulary does not have (a model may have more rows than its tokenizer ids) give no text. */
  decode(ids: ArrayLike<number>, options?: { skipSpecialTokens?: boolean /* default true */ }): string;
  /** @throws DomainError failed_precondition without a chat template, invalid_argument if the template refuses the messages */
  renderChat(messages: ChatMessage[], options?: { addGenerationPrompt?: boolean }): string;
  /**
   * The ids of the rendered conversation, nothing added.
   *
   * @param options.allowSpecial read special tokens spelled in a message as those tokens, as transformers does; default
   *   false: only the template's own special tokens count, so that no message can end its turn or begin another
   */
  encodeChat(messages: ChatMessage[], options?: { addGenerationPrompt?: boolean; allowSpecial?: boolean }): Int32Array;
  /** Largest id + 1. */
  readonly vocabularySize: number;
  readonly bosTokenId?: number;
  readonly eosTokenId?: number;
  readonly padTokenId?: number;
  /** Equal digests mean equal ids for every text and conversation. */
  readonly digest: string;
  readonly hasChatTemplate: boolean;
}

/**
 * Reads a tokenizer in Hugging Face layout: tokenizer.json, tokenizer_config.json, chat template in there or in chat_template.jinja.
 *
 * @throws DomainError not_found where tokenizer.json is missing, invalid_argument naming the file that cannot be read
 */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  const files = await readTokenizerFiles(folder);
  const { specialTokens, chatTemplate } = files;
  const encoders = createEncoders(files, folder);
  const template = chatTemplate && compileChatTemplate(chatTemplate.text, specialTokens, chatTemplate.source);
  const id = (name: string) => encoders.withSpecial.token_to_id(specialTokens[name] ?? '');
  const [bosTokenId, eosTokenId, padTokenId] = [id('bos_token'), id('eos_token'), id('pad_token')];
  return {
    ...textMethods(encoders, folder),
    ...chatMethods(encoders, template, folder),
    vocabularySize: encoders.withSpecial.model.vocab.length,
    ...(bosTokenId !== undefined && { bosTokenId }),
    ...(eosTokenId !== undefined && { eosTokenId }),
    ...(padTokenId !== undefined && { padTokenId }),
    digest: digestText(JSON.stringify([files.text, specialTokens, chatTemplate?.text ?? null])),
    hasChatTemplate: template !== undefined,
  };
}

/** The part of the library's tokenizer used here; its own declarations do not resolve under Node's module resolution. */
interface LibraryTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: (number | undefined)[] };
  decode(ids: number[], options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
  model: { vocab: string[]; unk_token_id?: number };
  pre_tokenizer: ((text: string, options: { section_index: number }) => string[]) | null;
  decoder: LibraryDecoder | null;
  post_processor: ((tokens: string[], pair: null, addSpecialTokens: boolean) => { tokens: string[] }) | null;
}
const LibraryTokenizer = library.Tokenizer as new (json: object, config: object) => LibraryTokenizer;

/** Two readings of text that share one vocabulary. */
interface Encoders {
  /** Ids of a text whose special tokens are those tokens. */
  withSpecial: LibraryTokenizer;
  /**
   * Ids of a text whose special tokens are text; other added tokens are still recognised.
   *
   * @param isFirst whether it begins a sequence, where some tokenizers put a space; default true
   */
  encodeText(text: string, isFirst?: boolean): number[];
  specialTokens: AddedToken[];
}

function createEncoders({ json, config }: TokenizerFiles, folder: string): Encoders {
  try {
    const withSpecial = new LibraryTokenizer(json, config);
    repairByteFallback(withSpecial.decoder);
    const specialTokens = json.added_tokens.filter((token) => token.special);
    const ordinary = json.added_tokens.filter((token) => !token.special);
    const noModel = { type: 'BPE', vocab: {}, merges: [] };
    const asText = new LibraryTokenizer({ ...json, added_tokens: ordinary, model: noModel }, config);
    asText.model = withSpecial.model;
    const encoders = { withSpecial, encodeText: textEncoder(asText, specialTokens, folder), specialTokens };
    withinTime(() => probes.forEach((probe) => asText.encode(probe, { add_special_tokens: false })));
    return encoders;
  } catch (error) {
    const reason = (error as Error).message;
    throw new DomainError('invalid_argument', `${folder}/tokenizer.json describes no tokenizer known here: ${reason}`, {
      cause: error,
    });
  }
}

function textEncoder(asText: LibraryTokenizer, specialTokens: AddedToken[], folder: string): Encoders['encodeText'] {
  let sectionsBefore = 0;
  const split = asText.pre_tokenizer;
  if (split)
    asText.pre_tokenizer = (text, { section_index }) => split(text, { section_index: section_index + sectionsBefore });
  const encode = (text: string, isFirst: boolean) => {
    sectionsBefore = isFirst ? 0 : 1;
    return idsOf(asText, text, folder);
  };
  // The model knows special tokens as well, and may read one where nothing cuts a text before it.
  const special = new Map(specialTokens.map((token) => [token.id, token.content]));
  special.delete(asText.model.unk_token_id ?? -1);
  return (text, isFirst = true) => {
    const ids = encode(text, isFirst);
    if (!ids.some((id) => special.has(id))) return ids;
    const cut = cutSpecialTokens(text, [...special.values()]);
    const apart = cut.flatMap((piece, i) => encode(piece, isFirst && i === 0));
    // A special token of one character cannot be cut.
    const left = apart.map((id) => special.get(id)).find((token) => token !== undefined && [...token].length > 1);
    if (left === undefined) return apart;
    throw new DomainError('invalid_argument', `the tokenizer in ${folder} cannot express ${left} as text`);
  };
}

function textMethods(encoders: Encoders, folder: string): Pick<Tokenizer, 'encode' | 'decode'> {
  const { withSpecial, encodeText } = encoders;
  const around = tokensAround(withSpecial);
  return {
    encode: (text, { addSpecialTokens = true, allowSpecial = false } = {}) => {
      const ids = allowSpecial ? idsOf(withSpecial, text, folder) : encodeText(text);
      return Int32Array.from(addSpecialTokens ? [...around.before, ...ids, ...around.after] : ids);
    },
    decode: (ids, { skipSpecialTokens = true } = {}) => {
      const known = Array.from(ids).filter((id) => withSpecial.id_to_token(id) !== undefined);
      if (known.length === 0) return '';
      return withSpecial.decode(known, {
        skip_special_tokens: skipSpecialTokens,
        clean_up_tokenization_spaces: false,
      });
    },
  };
}

function idsOf(encoder: LibraryTokenizer, text: string, folder: string): number[] {
  // The library answers an unknown word without an unknown-token id with undefined.
  const { ids } = encoder.encode(text, { add_special_tokens: false });
  const unknown = ids.indexOf(undefined);
  if (unknown < 0) return ids as number[];
  throw new DomainError(
    'invalid_argument',
    `token ${unknown + 1} of the text is not in the vocabulary of the tokenizer in ${folder}, which has no unknown token`,
  );
}

/** The ids that the post-processor puts before and after a text. */
function tokensAround(tokenizer: LibraryTokenizer): { before: number[]; after: number[] } {
  const probe = 'text';
  const tokens = tokenizer.post_processor?.([probe], null, true).tokens ?? [probe];
  const ids = (part: string[]) => part.map((token) => tokenizer.token_to_id(token) as number);
  const place = tokens.indexOf(probe);
  return { before: ids(tokens.slice(0, place)), after: ids(tokens.slice(place + 1)) };
}

function chatMethods(
  encoders: Encoders,
  template: ChatTemplate | undefined,
  folder: string,
): Pick<Tokenizer, 'renderChat' | 'encodeChat'> {
  const { withSpecial, encodeText, specialTokens } = encoders;
  const special = new Set(specialTokens.map(({ id }) => id));
  const render = (messages: ChatMessage[], addGenerationPrompt: boolean) => {
    if (template) return template(messages, addGenerationPrompt);
    throw new DomainError(
      'failed_precondition',
      `the tokenizer in ${folder} has no chat template: give prompts as text, not as messages`,
    );
  };
  return {
    renderChat: (messages, { addGenerationPrompt = false } = {}) => render(messages, addGenerationPrompt),
    encodeChat: (messages, { addGenerationPrompt = false, allowSpecial = false } = {}) => {
      const rendered = (given: ChatMessage[]) => render(given, addGenerationPrompt);
      if (allowSpecial) return Int32Array.from(idsOf(withSpecial, rendered(messages), folder));
      const pieces = renderApart(messages, specialTokens, rendered);
      const whole = idsOf(withSpecial, pieces.map(({ text }) => text).join(''), folder);
      // Most conversations hold no other special tokens than their template's.
      if (whole.filter((id) => special.has(id)).length === pieces.filter(({ isSpecial }) => isSpecial).length)
        return Int32Array.from(whole);
      const apart = pieces.map(({ text, isSpecial }, index) =>
        isSpecial ? idsOf(withSpecial, text, folder) : encodeText(text, index === 0),
      );
      return Int32Array.from(apart.flat());
    },
  };
}
