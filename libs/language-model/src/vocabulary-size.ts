/** Above so many tokens logits are never there as a whole. By the vocabulary alone: which way is taken decides last bits. */
export const largeVocabulary = 2 ** 16;

/** Tokens of a large vocabulary whose logits are there at once. */
export const vocabularyChunk = 2 ** 14;
