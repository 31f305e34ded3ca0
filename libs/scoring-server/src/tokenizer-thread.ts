import { DomainError } from '@surefoot/errors';
import type { Tokenizer } from '@surefoot/language-model';
import { encodeSequence, loadEnsembleTokenizer } from '@surefoot/reward';
import { exposeToParent, transferring } from '@surefoot/service';
import type { RolloutText } from './check-rollout';

/** The functions of this thread. */
export type TokenizerProcedures = {
  load(folder: string): Promise<void>;
  /** Prompt and response together. @throws DomainError where the text cannot be scored */
  encode(input: { text: RolloutText; maxTokens: number }): Int32Array;
};

let tokenizer: Tokenizer | undefined;

const procedures: TokenizerProcedures = {
  async load(folder) {
    tokenizer = await loadEnsembleTokenizer(folder);
  },
  encode({ text, maxTokens }) {
    if (!tokenizer) throw new DomainError('failed_precondition', 'no tokenizer is loaded');
    const sequence = encodeSequence(tokenizer, text, maxTokens);
    return transferring(sequence, [sequence.buffer as ArrayBuffer]);
  },
};

exposeToParent(procedures);
