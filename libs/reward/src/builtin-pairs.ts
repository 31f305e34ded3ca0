import { sample, type LanguageModel, type Tokenizer } from '@surefoot/language-model';
import { drawPreference, type BuiltinTask, type PreferencePair, type TaskResponse } from '@surefoot/preference';
import { randomStream } from '@surefoot/tensor';

/** A model's response to one of the task's prompts. */
export interface TaskSample extends TaskResponse {
  prompt: string;
  /** Prompt and response together. */
  ids: Int32Array;
}

/**
 * Samples responses of a model of the built-in task at temperature 1.
 *
 * @param prompts one response each
 * @param stream  seed and purpose of the random numbers; response i has the stream `[..., i]`
 */
export async function sampleTask(
  task: BuiltinTask,
  model: LanguageModel,
  tokenizer: Tokenizer,
  prompts: string[],
  stream: { seed: number; purpose: string; first?: number },
): Promise<TaskSample[]> {
  const { seed, purpose, first = 0 } = stream;
  const promptIds = prompts.map((prompt) => tokenizer.encode(prompt));
  const samples = await sample(model, promptIds, {
    maxNewTokens: task.response.length,
    random: (row) => randomStream(seed, purpose, first + row),
  });
  return samples.map(({ ids, finish }, i) => {
    const hasEos = finish === 'eos';
    const words = hasEos ? ids.subarray(0, -1) : ids;
    return {
      prompt: prompts[i] as string,
      text: tokenizer.decode(words, { skipSpecialTokens: false }),
      hasEos,
      ids: Int32Array.of(...(promptIds[i] as Int32Array), ...ids),
    };
  });
}

/**
 * Preference pairs of the built-in task: two responses of the base model to one prompt, labelled by the gold score.
 *
 * A prompt whose two responses are the same text, or one of them empty or with a special token inside, is drawn again: such a
 * pair says nothing, or cannot be told as text.
 *
 * @param options.prompts drawn from, each as likely
 * @param options.purpose with the seed decides every number drawn
 */
export async function drawPairs(
  task: BuiltinTask,
  model: LanguageModel,
  tokenizer: Tokenizer,
  options: { prompts: string[]; count: number; seed: number; purpose: string },
): Promise<PreferencePair[]> {
  const { prompts, count, seed, purpose } = options;
  const chooser = randomStream(seed, purpose, 'prompts');
  const labels = randomStream(seed, purpose, 'labels');
  const pairs: PreferencePair[] = [];
  let drawn = 0;
  while (pairs.length < count) {
    const missing = Array.from(
      { length: count - pairs.length },
      () => prompts[chooser.integer(prompts.length)] as string,
    );
    const samples = await sampleTask(
      task,
      model,
      tokenizer,
      missing.flatMap((prompt) => [prompt, prompt]),
      { seed, purpose: `${purpose} responses`, first: drawn },
    );
    drawn += samples.length;
    missing.forEach((prompt, i) => {
      const [a, b] = [samples[2 * i] as TaskSample, samples[2 * i + 1] as TaskSample];
      if (a.text !== b.text && isTellable(task, a.text) && isTellable(task, b.text))
        pairs.push(drawPreference(task, labels, prompt, [a, b]));
    });
  }
  return pairs;
}

function isTellable(task: BuiltinTask, text: string): boolean {
  return text !== '' && !text.includes(task.bos) && !text.includes(task.eos);
}
