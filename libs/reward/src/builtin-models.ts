import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomically } from '@surefoot/files';
import {
  createModel,
  gpt2Config,
  loadTokenizer,
  saveModel,
  trainNextToken,
  wordTokenizerFiles,
  type Initialisation,
  type LanguageModel,
  type ModelConfig,
  type Tokenizer,
} from '@surefoot/language-model';
import { drawSentence, taskItems, taskPrompt, type BuiltinTask } from '@surefoot/preference';
import { randomStream } from '@surefoot/tensor';
import { encodeSequence } from './encode-pairs';

/** How the built-in task's base model is trained; smaller numbers serve tests. */
export interface BaseTraining {
  /** Generated sentences to learn from. */
  sentences: number;
  steps: number;
  batchSize: number;
}

/** The base model is the same for every data seed, so that data sets differ in their preferences alone. */
const baseSeed = 1;

/** Longest sequence of the task's models: prompts have 6 tokens, responses at most 12, and some room. */
const maxPositions = 32;

/**
 * Initialisation of the task's reward members, deliberately wide: it makes members from scratch disagree where there is no
 * data, as large models do; with the usual small one the effect of uncertainty is about half.
 */
export const memberInitialisation: Initialisation = {
  tokenEmbedding: 0.6,
  positionEmbedding: 0.6,
  head: 0.6,
  matrices: 'fan-in',
  outputProjectionsByDepth: true,
};

/**
 * With the usual 0.02 everywhere and a tied head, 500 steps do not suffice to learn which item was asked about; with half of ours
 * one response in three hundred ends after a word or two, which PPO on one member finds at once and exploits.
 */
const baseInitialisation: Initialisation = {
  tokenEmbedding: 0.2,
  positionEmbedding: 0.2,
  head: 0.2,
  matrices: 'fan-in',
  outputProjectionsByDepth: true,
};

/** Geometry of a model of the task: two layers, two heads, an output head of its own. */
export function builtinConfig(
  task: BuiltinTask,
  { hiddenSize, head }: { hiddenSize: number; head: ModelConfig['head'] },
): ModelConfig {
  return gpt2Config({
    vocabularySize: task.vocabulary.length,
    hiddenSize,
    layers: 2,
    heads: 2,
    maxPositions,
    head,
    tiedHead: false,
    eosTokenIds: [task.vocabulary.indexOf(task.eos)],
    bosTokenId: task.vocabulary.indexOf(task.bos),
  });
}

/**
 * Trains the task's base model on generated sentences and writes it, tokenizer included, as a model folder.
 *
 * @param folder created
 * @returns the caller disposes `model`
 */
export async function writeBaseModel(
  task: BuiltinTask,
  folder: string,
  training: BaseTraining,
  onStep: (step: number) => void,
): Promise<{ model: LanguageModel; tokenizer: Tokenizer }> {
  await mkdir(folder);
  for (const [name, content] of Object.entries(wordTokenizerFiles(task.vocabulary, task)))
    await writeFileAtomically(join(folder, name), content);
  const tokenizer = await loadTokenizer(folder);
  const random = randomStream(baseSeed, 'base sentences');
  const items = taskItems(task).map(({ item }) => item);
  const sentences = Array.from({ length: training.sentences }, () => {
    const item = items[random.integer(items.length)] as string;
    const rollout = { prompt: taskPrompt(task, item), response: drawSentence(task, random, item), truncated: false };
    return encodeSequence(tokenizer, rollout, maxPositions);
  });
  const model = createModel(builtinConfig(task, { hiddenSize: 48, head: 'causal-lm' }), baseSeed, baseInitialisation);
  await trainNextToken(model, sentences, {
    steps: training.steps,
    batchSize: training.batchSize,
    learningRate: 2e-3,
    warmupSteps: Math.min(20, training.steps),
    finalFraction: 0.1,
    weightDecay: 0.01,
    seed: baseSeed,
    onStep,
  });
  await saveModel(model, folder, { tokenizerFolder: folder });
  return { model, tokenizer };
}
