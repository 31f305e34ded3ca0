import { DomainError } from '@surefoot/errors';
import { digestFile, digestText, readJson } from '@surefoot/files';
import {
  assertVocabularyFits,
  disposeModel,
  encodePrompt,
  lastTokens,
  loadModel,
  loadTokenizer,
  type LanguageModel,
  type Tokenizer,
} from '@surefoot/language-model';
import { goldScore, parseGold, readPrompts, type Prompt } from '@surefoot/preference';
import { backendIdentity, currentBackend } from '@surefoot/tensor';
import type { TrainingJob } from './training-job';

/** A prompt as the policy reads it. */
export interface EncodedPrompt {
  prompt: Prompt;
  /** Equal for equal prompts. */
  key: string;
  /** [P] cut from the left, after the bos token where it has one, to leave room for the longest response. */
  ids: Int32Array;
  isCut: boolean;
}

/** What a run starts from and never changes. */
export interface Start {
  /** The start policy, which is the reference. */
  reference: LanguageModel;
  tokenizer: Tokenizer;
  prompts: EncodedPrompt[];
  evalPrompts: EncodedPrompt[];
  /** Says, for each file that has some, how many prompts are cut. */
  warnings: string[];
  /** The oracle's value of a response; undefined without one. */
  gold?: (prompt: Prompt, response: string, hasEos: boolean) => number;
  /** What a checkpoint insists on: digests of models and data, and what computes. */
  fingerprint: Fingerprint;
}

/** Everything beside what the settings say that decides a run's bits, by name; `weights` is the form that they came to. */
export type Fingerprint = Record<
  'policy' | 'weights' | 'tokenizer' | 'prompts' | 'evalPrompts' | 'gold' | 'ensemble' | 'judge' | 'backend',
  string
>;

/**
 * Loads the start policy, the prompts and the oracle.
 *
 * @throws DomainError not_found, invalid_argument naming file and reason; invalid_argument where the responses do not fit
 *   into the policy's positions
 *
 * Tensors: the caller owns `reference`.
 */
export async function loadStart(job: TrainingJob): Promise<Start> {
  const { lora, weights } = job.settings;
  const reference = await loadModel(job.paths.policy, { head: 'causal-lm', trainable: lora === null, weights });
  try {
    return await completeStart(reference, job);
  } catch (error) {
    disposeModel(reference);
    throw error;
  }
}

async function completeStart(reference: LanguageModel, job: TrainingJob): Promise<Start> {
  const { settings, paths, ensembleDigest, judgeDigest } = job;
  const { maxNewTokens } = settings.ppo;
  const tokenizer = await loadTokenizer(paths.policy);
  assertVocabularyFits(tokenizer, reference.config);
  const room = reference.config.maxPositions - maxNewTokens;
  if (room < 1)
    throw new DomainError(
      'invalid_argument',
      `max_new_tokens is ${maxNewTokens}, but the policy has ${reference.config.maxPositions} positions for prompt and response`,
    );
  const encodeFile = async (path: string) => {
    const encoded: EncodedPrompt[] = [];
    await readPrompts(path, (prompt) => encoded.push(encode(tokenizer, prompt, room)));
    return encoded;
  };
  const prompts = await encodeFile(paths.prompts);
  const evalPrompts = await encodeFile(paths.evalPrompts);
  const cuts = new Map([
    [settings.prompts, prompts],
    [settings.evalPrompts, evalPrompts],
  ]);
  return {
    reference,
    tokenizer,
    prompts,
    evalPrompts,
    warnings: [...cuts].flatMap(([file, encoded]) => {
      const cut = encoded.filter(({ isCut }) => isCut).length;
      if (cut === 0) return [];
      return `${cut} of ${encoded.length} prompts of ${file} lose their beginning: maxNewTokens = ${maxNewTokens} leaves them ${room} of the policy's ${reference.config.maxPositions} positions; shorten them, or set ppo.maxNewTokens lower`;
    }),
    ...(paths.gold && { gold: await loadGold(paths.gold) }),
    fingerprint: {
      policy: reference.digest ?? '',
      weights: reference.weights?.form ?? 'f32',
      tokenizer: tokenizer.digest,
      prompts: await digestFile(paths.prompts),
      evalPrompts: await digestFile(paths.evalPrompts),
      gold: paths.gold ? await digestFile(paths.gold) : 'none',
      ensemble: ensembleDigest,
      judge: judgeDigest ?? 'none',
      backend: backendIdentity(currentBackend()),
    },
  };
}

function encode(tokenizer: Tokenizer, prompt: Prompt, room: number): EncodedPrompt {
  const ids = encodePrompt(tokenizer, prompt);
  const key = digestText(JSON.stringify(prompt)).slice(0, 16);
  return { prompt, key, ids: lastTokens(ids, room, tokenizer.bosTokenId), isCut: ids.length > room };
}

async function loadGold(path: string): Promise<Start['gold']> {
  const task = parseGold(await readJson(path));
  return (prompt, response, hasEos) => {
    if (typeof prompt !== 'string')
      throw new DomainError('invalid_argument', 'the oracle knows prompts that are text, not conversations');
    return goldScore(task, prompt, response, hasEos);
  };
}
