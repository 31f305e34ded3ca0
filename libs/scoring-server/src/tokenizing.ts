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

/** A text that takes longer has met a pattern that tries its choices without end: 10 s, and 20 s for a million characters. */
const defaultLimit = { ms: 10_000, msPerCharacter: 0.02 };

/**
 * Starts the thread. The texts of one message go to it together, and so become ready for one batch together. A text that takes
 * too long is refused, and the thread is started anew, since nothing else stops a regular expression.
 */
export function startTokenizing(limit: { ms: number; msPerCharacter: number } = defaultLimit): Tokenizing {
  let folder: string | undefined;
  let requests: Request[] = [];
  let isBusy = false;
  let isClosed = false;
  let reportFailure: (error: Error) => void = () => undefined;
  const failed = new Promise<Error>((resolve) => (reportFailure = resolve));
  let thread = start();

  function start() {
    const progress = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const data = { progress };
    const worker = createComputeWorker<TokenizerProcedures>(workerFile(__dirname, 'tokenizer-thread'), { data });
    void worker.failed.then(reportFailure);
    return { worker, progress };
  }

  async function flush(): Promise<void> {
    isBusy = true;
    while (requests.length > 0) {
      const sent = requests;
      requests = [];
      for (let rest = sent; rest.length > 0;) rest = await answer(rest);
    }
    isBusy = false;
  }

  /** @returns the requests that are to be sent again, where one has held up the thread */
  async function answer(sent: Request[]): Promise<Request[]> {
    const { worker, progress } = thread;
    Atomics.store(progress, 0, 0);
    const watch = watchProgress(progress, sent, limit);
    try {
      const texts = sent.map(({ text, maxTokens }) => ({ text, maxTokens }));
      const results = await Promise.race([worker.call('encode', texts), watch.stuck]);
      if (typeof results === 'number') {
        await restart();
        const [held] = sent.splice(results, 1);
        held!.reject(new DomainError('invalid_argument', 'the tokenizer finds no end with this text'));
        return sent;
      }
      results.forEach((result, i) => {
        if ('kind' in result) sent[i]!.reject(new DomainError(result.kind, result.message));
        else sent[i]!.resolve(result);
      });
    } catch (error) {
      for (const { reject } of sent) reject(error);
    } finally {
      watch.end();
    }
    return [];
  }

  async function restart(): Promise<void> {
    await thread.worker.close();
    if (isClosed) throw new DomainError('unavailable', 'the tokenizer is closed');
    thread = start();
    try {
      await thread.worker.call('load', folder!);
    } catch (error) {
      if (!isClosed) reportFailure(error as Error);
      throw error;
    }
  }

  return {
    load: (from) => {
      folder = from;
      return thread.worker.call('load', from);
    },
    encode: (text, maxTokens) =>
      new Promise((resolve, reject) => {
        if (requests.length === 0 && !isBusy) queueMicrotask(() => void flush());
        requests.push({ text, maxTokens, resolve, reject });
      }),
    failed,
    close: () => {
      isClosed = true;
      return thread.worker.close();
    },
  };
}

/** Looks which text the thread is at. */
function watchProgress(
  progress: Int32Array,
  sent: Request[],
  limit: { ms: number; msPerCharacter: number },
): { stuck: Promise<number>; end(): void } {
  let timer: NodeJS.Timeout;
  const stuck = new Promise<number>((resolve) => {
    let [at, since] = [0, performance.now()];
    timer = setInterval(() => {
      const now = Atomics.load(progress, 0);
      if (now !== at) [at, since] = [now, performance.now()];
      const text = sent[at]?.text;
      if (text && performance.now() - since > limit.ms + limit.msPerCharacter * charactersOf(text)) resolve(at);
    }, limit.ms / 10);
  });
  return { stuck, end: () => clearInterval(timer) };
}

function charactersOf({ prompt, response }: RolloutText): number {
  const texts = typeof prompt === 'string' ? [prompt] : prompt.map(({ content }) => content);
  return texts.reduce((sum, { length }) => sum + length, response.length);
}
