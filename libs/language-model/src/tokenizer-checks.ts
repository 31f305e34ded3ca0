/** Largest token id, and most entries of a vocabulary and of its merges: sixteen times the largest vocabularies of today. */
const most = 2 ** 22;
const longestToken = 10_000;
const modelTypes = ['BPE', 'Unigram', 'WordPiece', 'WordLevel'];

/** A token beside those of the model. */
export interface AddedToken {
  id: number;
  content: string;
  special: boolean;
  /** Takes the white space before it. */
  lstrip?: boolean;
  /** Takes the white space after it. */
  rstrip?: boolean;
}

/**
 * Checks what a tokenizer.json says of its tokens, from which the library makes lists as long as the largest id.
 *
 * @throws Error saying what is wrong
 */
export function checkTokens(json: { model?: unknown; added_tokens: unknown }): AddedToken[] {
  const { model } = json;
  if (model !== null && typeof model === 'object') {
    const { type, vocab, merges } = model as { type?: unknown; vocab?: unknown; merges?: unknown };
    // The library would take an unknown one for a list of whole words.
    if (type !== undefined && !modelTypes.includes(type as string))
      throw new Error(`its model is of type ${shortened(String(type))}; known are ${modelTypes.join(', ')}`);
    if (Array.isArray(vocab)) checkPieces(vocab);
    else if (vocab !== null && typeof vocab === 'object') checkIds(vocab as Record<string, unknown>);
    if (merges !== undefined) checkMerges(merges);
  }
  return addedTokens(json.added_tokens);
}

/** How many times as long as a text is what replacements may make of it. */
const mostGrowth = 1000;

/**
 * Checks the parts of a tokenizer.json that rewrite a text: a few replacements, one after the other, could fill any memory.
 *
 * @throws Error naming the part
 */
export function checkGrowth(json: Record<string, unknown>): void {
  for (const part of ['normalizer', 'pre_tokenizer', 'decoder'])
    if (growth(json[part]) > mostGrowth)
      throw new Error(`its ${part} could make a text more than ${mostGrowth} times as long`);
}

/** How many times as long a part, with those in it one after the other, makes a text at most. */
function growth(part: unknown): number {
  if (part === null || typeof part !== 'object') return 1;
  const { content, normalizers, pretokenizers, decoders } = part as Record<string, unknown>;
  const own = typeof content === 'string' ? Math.max(1, content.length) : 1;
  return [normalizers, pretokenizers, decoders].flat().reduce<number>((all, inner) => all * growth(inner), own);
}

function checkIds(vocabulary: Record<string, unknown>): void {
  const seen = new Uint8Array(most);
  for (const token in vocabulary) {
    const id = checkedId(vocabulary[token], token);
    if (seen[id] === 1) throw new Error(`two tokens have id ${id}; one is ${shortened(token)}`);
    seen[id] = 1;
  }
}

/** Of a model whose tokens have scores. */
function checkPieces(vocabulary: unknown[]): void {
  if (vocabulary.length > most) throw new Error(`it has ${vocabulary.length} tokens; at most ${most} are read`);
  const wrong = vocabulary.findIndex(
    (piece) => !Array.isArray(piece) || typeof piece[0] !== 'string' || typeof piece[1] !== 'number',
  );
  if (wrong >= 0) throw new Error(`entry ${wrong} of its vocabulary is no pair of token and score`);
}

function checkMerges(merges: unknown): void {
  if (!Array.isArray(merges)) throw new Error('its merges are no list');
  if (merges.length > most) throw new Error(`it has ${merges.length} merges; at most ${most} are read`);
  // All are of the form of the first, "a b" or ["a", "b"].
  const isPair = (merge: unknown) =>
    Array.isArray(merge) && merge.length === 2 && typeof merge[0] === 'string' && typeof merge[1] === 'string';
  const isMerge = Array.isArray(merges[0]) ? isPair : (merge: unknown) => typeof merge === 'string';
  const wrong = merges.findIndex((merge) => !isMerge(merge));
  if (wrong >= 0) throw new Error(`merge ${wrong} is not two tokens`);
}

function addedTokens(value: unknown): AddedToken[] {
  const isToken = (token: AddedToken | null) => Number.isInteger(token?.id) && typeof token?.content === 'string';
  if (!Array.isArray(value) || !value.every(isToken))
    throw new Error('its added_tokens is no list of tokens with id and content');
  const contents = new Set<string>();
  const ids = new Set<number>();
  for (const { id, content } of value as AddedToken[]) {
    checkedId(id, content);
    if (content === '') throw new Error(`added token ${id} has no content`);
    if (content.length > longestToken) throw new Error(`added token ${id} has more than ${longestToken} characters`);
    if (contents.has(content) || ids.has(id))
      throw new Error(`added token ${id}, ${shortened(content)}, is there twice`);
    contents.add(content);
    ids.add(id);
  }
  return value as AddedToken[];
}

function checkedId(id: unknown, token: string): number {
  if (typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < most) return id;
  throw new Error(`the id of ${shortened(token)} is ${String(id)}, no whole number from 0 to ${most - 1}`);
}

function shortened(token: string): string {
  return JSON.stringify(token.length > 40 ? `${token.slice(0, 40)}…` : token);
}
