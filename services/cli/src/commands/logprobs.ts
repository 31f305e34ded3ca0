import {
  disposeModel,
  encodeRollout,
  hiddenStates,
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
import { atLine, inBatches, inFile, outFile, writeLines } from '../lines';
import { adapterFolder, checkIds, loadForUse, modelFolder, weights } from '../model-options';
import { backend, flag, integer, number, option } from '../option';

export const logprobs = defineCommand({
  name: 'logprobs',
  summary: 'log-probability (nats) of every token given those before it, and the entropies',
  example: 'logprobs --model task/base --in rollouts.jsonl --temperature 0.7',
  options: {
    model: modelFolder,
    adapter: adapterFolder,
    in: inFile,
    out: outFile,
    temperature: option('<t>', 'divides the logits', number({ above: 0 }).default(1)),
    logits: option('', 'add the logits of the last position', flag),
    allPositions: option('', 'with --logits: those of every position', flag),
    batchSize: option('<n>', 'lines computed at once; changes no result', integer({ max: 4096 }).default(16)),
    weights,
    backend,
  },
  async run(options, context) {
    const rows = await readRollouts(options.in);
    await openForModel(options.backend, context, parameterCount(await readModelConfig(options.model)));
    const form = { head: 'causal-lm', weights: options.weights, adapter: options.adapter } as const;
    const model = await loadForUse(options.model, form, context);
    const tokenizer = rows.some(({ ids }) => !ids) ? await loadTokenizer(options.model) : undefined;
    const sequences = rows.map((row) => {
      const where = `${options.in}, id ${row.id}`;
      const ids = row.ids ? Int32Array.from(row.ids) : atLine(where, () => encode(tokenizer!, row, model.config));
      checkIds(ids, model.config, { where });
      return { id: row.givenId, ids };
    });
    await writeLines(options.out, context.terminal, (write) =>
      inBatches(sequences, context, { label: 'logprobs', unit: 'lines', size: options.batchSize }, async (batch) => {
        const ids = batch.map((row) => row.ids);
        const { logProbabilities, entropies } = await sequenceLogProbabilities(model, ids, options);
        const scores = options.logits ? await logitsOf(model, ids, options.allPositions) : undefined;
        for (const [i, row] of batch.entries())
          await write({
            id: row.id,
            ids: row.ids,
            logprobs: logProbabilities[i],
            entropies: entropies[i],
            ...(scores && { logits: scores[i] }),
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

/** Logits [V] after the last token of each sequence, or [T][V] after every one. */
async function logitsOf(
  model: LanguageModel,
  sequences: Int32Array[],
  allPositions: boolean,
): Promise<(Float32Array | Float32Array[])[]> {
  const batch = packSequences(sequences);
  const all = tf.tidy(() => logits(model, hiddenStates(model, batch)));
  const values = (await all.data()) as Float32Array;
  all.dispose();
  const { vocabularySize } = model.config;
  const at = (row: number, position: number) => {
    const start = (row * batch.width + position) * vocabularySize;
    return values.subarray(start, start + vocabularySize);
  };
  return sequences.map(({ length }, row) =>
    allPositions ? Array.from({ length }, (_, position) => at(row, position)) : at(row, length - 1),
  );
}
