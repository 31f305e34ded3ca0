import { DomainError } from '@surefoot/errors';
import { inputName } from '@surefoot/files';
import {
  disposeModel,
  encodeRollout,
  hiddenStates,
  lastTokenRows,
  loadTokenizer,
  logits,
  packSequences,
  parameterCount,
  readModelConfig,
  sequenceLogProbabilities,
  type LanguageModel,
  type Tokenizer,
} from '@surefoot/language-model';
import { readRollouts, type RolloutRow } from '@surefoot/preference';
import * as tf from '@tensorflow/tfjs';
import { defineCommand } from '../command';
import { openForModel } from '../compute/open-backend';
import { UsageError } from '../failure';
import { atLine, inBatches, inFile, outFile, refuseOverwriting, rolloutLine, writeLines } from '../lines';
import { adapterFolder, checkIds, loadForUse, modelFolder, weights } from '../model-options';
import { backend, flag, integer, number, option } from '../option';

export const logprobs = defineCommand({
  name: 'logprobs',
  summary: 'log-probability (nats) of every token given those before it, and the entropies',
  example: 'logprobs --model task/base --in rollouts.jsonl --temperature 0.7',
  options: {
    model: modelFolder,
    adapter: adapterFolder,
    in: inFile(rolloutLine),
    out: outFile,
    temperature: option('<t>', 'divides the logits before probabilities are taken', number({ above: 0 }).default(1)),
    logits: option('', 'add the logits of the last position, not divided by the temperature', flag),
    allPositions: option('', 'with --logits: those of every position', flag),
    batchSize: option('<n>', 'lines computed at once; changes no result', integer({ max: 4096 }).default(16)),
    weights,
    backend,
  },
  async run(options, context) {
    if (options.allPositions && !options.logits)
      throw new UsageError('--all-positions goes with --logits: log-probabilities are those of every position');
    await refuseOverwriting(options);
    const rows = await readRollouts(options.in);
    await openForModel(options.backend, context, parameterCount(await readModelConfig(options.model)));
    const form = { head: 'causal-lm', weights: options.weights, adapter: options.adapter } as const;
    const model = await loadForUse(options.model, form, context);
    const tokenizer = rows.some(({ ids }) => !ids) ? await loadTokenizer(options.model) : undefined;
    const sequences = rows.map((row) => {
      const where = `${inputName(options.in)}, id ${row.id}`;
      const ids = row.ids ? Int32Array.from(row.ids) : atLine(where, () => encode(tokenizer!, row, model.config));
      checkIds(ids, model.config, { where });
      if (options.allPositions) atLine(where, () => checkLogits(ids, model.config));
      return { id: row.givenId, ids };
    });
    await writeLines(options.out, context.terminal, (write) =>
      inBatches(sequences, context, { label: 'logprobs', unit: 'lines', size: options.batchSize }, async (batch) => {
        const ids = batch.map((row) => row.ids);
        const { logProbabilities, entropies } = await sequenceLogProbabilities(model, ids, options);
        for (const [i, row] of batch.entries())
          await write({
            id: row.id,
            ids: row.ids,
            logprobs: logProbabilities[i],
            entropies: entropies[i],
            ...(options.logits && { logits: await logitsOf(model, row.ids, options.allPositions) }),
          });
      }),
    );
    disposeModel(model);
  },
});

function encode(
  tokenizer: Tokenizer,
  { prompt, response, truncated }: RolloutRow,
  { maxPositions }: { maxPositions: number },
): Int32Array {
  const rollout = { prompt: prompt!, response: response!, truncated };
  const { promptIds, responseIds } = encodeRollout(tokenizer, rollout, { maxTokens: maxPositions });
  return Int32Array.of(...promptIds, ...responseIds);
}

/** Logits that are computed at once: 16 MiB, and a dozen times that for what is between; results do not depend on it. */
const logitsAtOnce = 2 ** 22;

/** Logits in one line of output: 20 characters each make a text of 320 MiB, and none can have more than 512. */
const logitsInLine = 2 ** 24;

/** @throws DomainError invalid_argument where a line would be longer than a text can be */
function checkLogits({ length }: Int32Array, { vocabularySize }: LanguageModel['config']): void {
  if (length * vocabularySize <= logitsInLine) return;
  const counts = [length, vocabularySize, logitsInLine].map((count) => count.toLocaleString('en'));
  throw new DomainError(
    'invalid_argument',
    `${counts[0]} positions with ${counts[1]} logits each are more than a line can hold (${counts[2]} logits): ` +
      'shorten it, or leave out --all-positions',
  );
}

/** Logits [V] after the last token of a sequence, or [T][V] after every one. */
async function logitsOf(
  model: LanguageModel,
  ids: Int32Array,
  allPositions: boolean,
): Promise<Float32Array | Float32Array[]> {
  const batch = packSequences([ids]);
  const rows = allPositions ? Int32Array.from(ids.keys()) : lastTokenRows(batch);
  const hidden = tf.tidy(() => hiddenStates(model, batch, rows));
  const atOnce = Math.max(1, Math.floor(logitsAtOnce / model.config.vocabularySize));
  const table: Float32Array[] = [];
  for (let first = 0; first < rows.length; first += atOnce) {
    const count = Math.min(atOnce, rows.length - first);
    const part = tf.tidy(() => logits(model, tf.slice(hidden, [first, 0], [count, hidden.shape[1]])));
    const [values, width] = [(await part.data()) as Float32Array, part.shape[1]];
    part.dispose();
    for (let row = 0; row < count; row++) table.push(values.subarray(row * width, (row + 1) * width));
  }
  hidden.dispose();
  return allPositions ? table : table[0]!;
}
