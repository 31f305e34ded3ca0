import { DomainError } from '@surefoot/errors';
import { createComputeWorker, workerFile } from '@surefoot/service';
import type { RolloutText } from './check-rollout';
import type { TokenizerProcedures } from './tokenizer-thread';

/** A tokenizer in a thread of its own, so that no text, however long, holds up health checks or a running batch. */
export interface Tokenizing {
  /** Loads the tokenizer of an ensemble folder. */
  load(folder: string): Promise<void>;
  /** Prompt and response together. @throws DomainError where the text cannot be scored */
  encode(text: RolloutText, maxTokens: number): Promise<Int32Array>;
  failed: Promise<Error>;
  close(): Promise<void>;
}

interface Request {
  text: RolloutText;
  maxTokens: number;
  resolve: (sequence: Int32Array) => void;
  reject: (error: unknown) => void;
}

/** Starts the thread. The texts of one message go to it together, and so become ready for one batch together. */
export function startTokenizing(): Tokenizing {
  const worker = createComputeWorker<TokenizerProcedures>(workerFile(__dirname, 'tokenizer-thread'));
  let requests: Request[] = [];

  async function flush(): Promise<void> {
    const sent = requests;
    requests = [];
    try {
      const texts = sent.map(({ text, maxTokens }) => ({ text, maxTokens }));
      const results = await worker.call('encode', texts);
      results.forEach((result, i) => {
        if ('kind' in result) sent[i]!.reject(new DomainError(result.kind, result.message));
        else sent[i]!.resolve(result);
      });
    } catch (error) {
      for (const { reject } of sent) reject(error);
    }
  }

  return {
    load: (folder) => worker.call('load', folder),
    encode: (text, maxTokens) =>
      new Promise((resolve, reject) => {
        if (requests.length === 0) queueMicrotask(() => void flush());
        requests.push({ text, maxTokens, resolve, reject });
      }),
    failed: worker.failed,
    close: () => worker.close(),
  };
}
