import { workerData } from 'node:worker_threads';
import { DomainError, type ErrorKind } from '@surefoot/errors';
import type { Tokenizer } from '@surefoot/language-model';
import { encodeSequence, loadEnsembleTokenizer } from '@surefoot/reward';
import { exposeToParent, transferring } from '@surefoot/service';
import type { RolloutText } from './check-rollout';

/** Why a text has no token ids. */
export interface EncodingProblem {
  kind: ErrorKind;
  message: string;
}

/** The functions of this thread. */
export type TokenizerProcedures = {
  load(folder: string): Promise<void>;
  /** Prompt and response together, for each text. */
  encode(texts: { text: RolloutText; maxTokens: number }[]): (Int32Array | EncodingProblem)[];
};

/** Where the other thread sees which of the texts this one is at. */
const { progress } = workerData as { progress: Int32Array };
let tokenizer: Tokenizer | undefined;

const procedures: TokenizerProcedures = {
  async load(folder) {
    tokenizer = await loadEnsembleTokenizer(folder);
  },
  encode(texts) {
    const results = texts.map(({ text, maxTokens }, index) => {
      Atomics.store(progress, 0, index);
      return encode(text, maxTokens);
    });
    const buffers = results.flatMap((result) => ('kind' in result ? [] : [result.buffer as ArrayBuffer]));
    return transferring(results, buffers);
  },
};

function encode(text: RolloutText, maxTokens: number): Int32Array | EncodingProblem {
  if (!tokenizer) throw new DomainError('failed_precondition', 'no tokenizer is loaded');
  try {
    return encodeSequence(tokenizer, text, maxTokens, { cutResponse: text.cutResponse });
  } catch (error) {
    if (error instanceof DomainError) return { kind: error.kind, message: error.message };
    throw error;
  }
}

exposeToParent(procedures);
