import { DomainError } from '@surefoot/errors';

/**
 * Files of a tokenizer with one id a word, the position of the word in `words`; a text is the bos token and its words.
 *
 * It is a WordPiece model without continuations, cut at white space and punctuation, which Python's tokenizers and
 * @huggingface/tokenizers read alike; decoding joins words with spaces. A word outside the vocabulary is an error, there is no
 * unknown token. Spelled in a text, bos and eos fall apart at their punctuation and so are never read as tokens.
 *
 * @param words       the vocabulary, `bos` and `eos` among them; each is letters and digits or one punctuation mark
 * @param options.bos put before every text
 * @returns file contents by file name
 * @throws DomainError invalid_argument naming a word that is given twice, cannot be a word, or is missing
 */
export function wordTokenizerFiles(
  words: string[],
  { bos, eos }: { bos: string; eos: string },
): Record<string, string> {
  checkWords(words, [bos, eos]);
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    bos_token: bos,
    eos_token: eos,
    clean_up_tokenization_spaces: false,
  };
  const text = (value: object) => `${JSON.stringify(value, null, 1)}\n`;
  return { 'tokenizer.json': text(tokenizerJson(words, bos, eos)), 'tokenizer_config.json': text(config) };
}

function tokenizerJson(words: string[], bos: string, eos: string): object {
  const id = (word: string) => words.indexOf(word);
  const special = [bos, eos].map((content) => ({
    ...{ id: id(content), content, special: true },
    ...{ single_word: false, lstrip: false, rstrip: false, normalized: false },
  }));
  const sequence = (name: string, type_id: number) => [
    { SpecialToken: { id: bos, type_id } },
    { Sequence: { id: name, type_id } },
  ];
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.sort((a, b) => a.id - b.id),
    normalizer: null,
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: sequence('A', 0),
      pair: [...sequence('A', 0), ...sequence('B', 1)],
      special_tokens: { [bos]: { id: bos, ids: [id(bos)], tokens: [bos] } },
    },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: false },
    model: {
      type: 'WordPiece',
      unk_token: '<unk>',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(words.map((word, index) => [word, index])),
    },
  };
}

function checkWords(words: string[], special: string[]): void {
  const seen = new Set<string>();
  const refuse = (word: string, why: string) => {
    throw new DomainError('invalid_argument', `a word tokenizer cannot have ${JSON.stringify(word)}: ${why}`);
  };
  for (const word of words) {
    if (seen.has(word)) refuse(word, 'it is given twice');
    seen.add(word);
    if (!special.includes(word) && !/^([\p{L}\p{N}]{1,100}|\p{P})$/u.test(word))
      refuse(word, 'a word is up to 100 letters and digits, or one punctuation mark');
  }
  for (const word of special) {
    if (!seen.has(word)) refuse(word, 'this special token is missing among the words');
    if (!/^\p{P}|\p{P}$|[<>]/u.test(word)) refuse(word, 'a special token needs punctuation, to differ from any word');
  }
}
