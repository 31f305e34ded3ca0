import { DomainError } from '@surefoot/errors';
import {
  assertVocabularyFits,
  createModel,
  disposeModel,
  loadModel,
  loadTokenizer,
  withRewardHead,
  type Initialisation,
  type LanguageModel,
  type ModelConfig,
  type Tokenizer,
} from '@surefoot/language-model';

/** What every member of a fit starts from. */
export interface StartingPoint {
  tokenizer: Tokenizer;
  tokenizerFolder: string;
  /** Most tokens of prompt and response together. */
  maxTokens: number;
  /** sha256 of the base model's weights; null where members start from scratch. */
  baseDigest: string | null;
  /** A reward model to fit; the caller disposes it. With a base only the head differs between seeds. */
  create(seed: number): LanguageModel;
  dispose(): void;
}

/** Where members come from: a model folder with its tokenizer, or a geometry and a tokenizer folder. */
export interface StartingPointOptions {
  base?: string;
  /** Its head is ignored. */
  config?: ModelConfig;
  tokenizerFolder?: string;
  /** Of members from scratch; of members with a base its `head` alone. */
  initialisation?: Initialisation;
}

/**
 * Opens the base model, or the geometry and tokenizer of members from scratch.
 *
 * @throws DomainError invalid_argument where neither or both are given, or a file is malformed; not_found;
 *   failed_precondition where the tokenizer has more ids than the model
 */
export async function openStartingPoint(options: StartingPointOptions): Promise<StartingPoint> {
  const { base, config, tokenizerFolder, initialisation } = options;
  if (base !== undefined && config === undefined) return fromBase(base, initialisation);
  if (base === undefined && config && tokenizerFolder !== undefined)
    return fromScratch(config, tokenizerFolder, initialisation);
  throw new DomainError(
    'invalid_argument',
    'reward members need either a base model, or a config and a tokenizer folder to start from scratch',
  );
}

async function fromBase(folder: string, initialisation?: Initialisation): Promise<StartingPoint> {
  const tokenizer = await loadTokenizer(folder);
  const model = await loadModel(folder);
  const dispose = () => disposeModel(model);
  try {
    assertVocabularyFits(tokenizer, model.config);
  } catch (error) {
    dispose();
    throw error;
  }
  return {
    tokenizer,
    tokenizerFolder: folder,
    maxTokens: model.config.maxPositions,
    baseDigest: model.digest ?? null,
    create: (seed) => withRewardHead(model, seed, initialisation?.head),
    dispose,
  };
}

async function fromScratch(
  config: ModelConfig,
  tokenizerFolder: string,
  initialisation?: Initialisation,
): Promise<StartingPoint> {
  const tokenizer = await loadTokenizer(tokenizerFolder);
  assertVocabularyFits(tokenizer, config);
  return {
    tokenizer,
    tokenizerFolder,
    maxTokens: config.maxPositions,
    baseDigest: null,
    create: (seed) => createModel({ ...config, head: 'reward', tiedHead: false }, seed, initialisation),
    dispose: () => undefined,
  };
}
