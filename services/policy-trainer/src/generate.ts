import {
  disposeModel,
  encodePrompt,
  loadModel,
  loadTokenizer,
  sample,
  type WeightForm,
} from '@surefoot/language-model';
import { randomStream } from '@surefoot/tensor';

/** What to sample; crosses threads as it is. */
export interface GenerationJob {
  /** Model folder. */
  policy: string;
  /** Folder of an adapter on it; null = none. */
  adapter: string | null;
  weights: WeightForm;
  prompts: string[];
  maxNewTokens: number;
  /** 0 = greedy. */
  temperature: number;
  seed: bigint;
  /** Four bytes; not 0 as soon as nobody waits for the responses. */
  stop: SharedArrayBuffer;
}

/** A finished response. */
export interface GeneratedResponse {
  /** Index of its prompt. */
  index: number;
  response: string;
  truncated: boolean;
}

/** What a generation in the compute thread is given by the main thread. */
interface GenerationContext {
  onResponse: (response: GeneratedResponse) => void;
  /** Tells the operator of something that the generation goes on with. */
  warn: (message: string) => void;
  /** Throws where nobody waits any more. */
  checkStopped: () => void;
}

const batchSize = 32;

/**
 * Samples a response to each prompt; each is told as soon as it is finished.
 *
 * @throws DomainError as loadModel and sample; what `checkStopped` throws, between batches
 */
export async function generate(
  job: GenerationJob,
  { onResponse, warn, checkStopped }: GenerationContext,
): Promise<void> {
  const tokenizer = await loadTokenizer(job.policy);
  const ids = job.prompts.map((prompt) => encodePrompt(tokenizer, prompt));
  const { weights } = job;
  const adapter = job.adapter ?? undefined;
  const model = await loadModel(job.policy, {
    head: 'causal-lm',
    trainable: false,
    weights,
    ...(adapter && { adapter }),
  });
  try {
    if (model.weights?.warning) warn(model.weights.warning);
    for (let from = 0; from < ids.length; from += batchSize) {
      checkStopped();
      await sample(model, ids.slice(from, from + batchSize), {
        maxNewTokens: job.maxNewTokens,
        ...(job.temperature === 0 ? { greedy: true } : { temperature: job.temperature }),
        random: (row) => randomStream(job.seed, 'generate', from + row),
        onFinished: (row, { ids: responseIds, finish }) =>
          onResponse({
            index: from + row,
            response: tokenizer.decode(responseIds),
            truncated: finish === 'length',
          }),
      });
    }
  } finally {
    disposeModel(model);
  }
}
