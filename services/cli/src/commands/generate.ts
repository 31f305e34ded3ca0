import { inputName } from '@surefoot/files';
import {
  disposeModel,
  encodePrompt,
  loadTokenizer,
  parameterCount,
  readModelConfig,
  sample,
} from '@surefoot/language-model';
import { randomStream } from '@surefoot/tensor';
import { z } from 'zod';
import { defineCommand } from '../command';
import { openForModel } from '../compute/open-backend';
import { UsageError } from '../failure';
import { atLine, inBatches, inFile, outFile, readLines, refuseOverwriting, writeLines } from '../lines';
import { adapterFolder, checkIds, loadForUse, modelFolder, weights } from '../model-options';
import { backend, flag, flagName, integer, number, option, seed } from '../option';

const id = z.union([z.string(), z.int()]).optional();
const message = z.object({ role: z.string().min(1), content: z.string() });
const line = z.union(
  [
    z.object({ id, ids: z.array(z.int().min(0)).min(1) }),
    z.object({ id, prompt: z.union([z.string().min(1), z.array(message).min(1)]) }),
  ],
  'must hold "ids" as a list of token ids, or "prompt" as text or messages',
);

export const generate = defineCommand({
  name: 'generate',
  summary:
    'samples a response to each prompt; each is the same as if it were alone; score and logprobs read what it writes',
  example: 'generate --model task/base --in prompts.jsonl --max-new-tokens 18 --seed 3',
  options: {
    model: modelFolder,
    adapter: adapterFolder,
    in: inFile('{"id", "ids"} or {"id", "prompt"}, a prompt text or messages'),
    out: outFile,
    maxNewTokens: option('<n>', 'longest response', integer().default(128)),
    temperature: option('<t>', 'sampling temperature; default 1', number({ above: 0 }).optional()),
    topK: option('<k>', 'choose among the k most likely tokens', integer().optional()),
    topP: option(
      '<p>',
      'choose among the likeliest tokens that hold this probability',
      number({ above: 0, max: 1 }).optional(),
    ),
    greedy: option('', 'always take the most likely token', flag),
    ignoreEos: option('', 'do not stop at an end token; every response is the longest', flag),
    batchSize: option('<n>', 'prompts sampled at once; changes no result', integer({ max: 4096 }).default(64)),
    weights,
    seed: seed(0),
    backend,
  },
  async run(options, context) {
    const contradictory = (['temperature', 'topK', 'topP'] as const).find((name) => options[name] !== undefined);
    if (options.greedy && contradictory !== undefined)
      throw new UsageError(
        `--greedy always takes the most likely token, so ${flagName(contradictory)} contradicts it: give one of them`,
      );
    await refuseOverwriting(options);
    const rows = await readLines(options.in, line);
    await openForModel(options.backend, context, parameterCount(await readModelConfig(options.model)));
    const form = { head: 'causal-lm', weights: options.weights, adapter: options.adapter } as const;
    const model = await loadForUse(options.model, form, context);
    const tokenizer = await loadTokenizer(options.model);
    const encoded = rows.map(({ line: place, value }) => {
      const where = `${inputName(options.in)} line ${place}`;
      const prompt = 'ids' in value ? value.ids : atLine(where, () => encodePrompt(tokenizer, value.prompt));
      checkIds(prompt, model.config, { where, room: options.maxNewTokens });
      // A line's draws belong to its id, so that it gets the same response in another file.
      return { id: value.id ?? place, prompt, given: 'ids' in value ? undefined : value.prompt };
    });
    await writeLines(options.out, context.terminal, (write) =>
      inBatches(encoded, context, { label: 'generate', unit: 'prompts', size: options.batchSize }, async (batch) => {
        const samples = await sample(
          model,
          batch.map(({ prompt }) => prompt),
          {
            ...options,
            ...(options.ignoreEos && { eosTokenIds: [] }),
            random: (row) => randomStream(options.seed, 'generate', batch[row]!.id),
          },
        );
        for (const [i, { ids, finish }] of samples.entries())
          await write({
            id: batch[i]!.id,
            prompt: batch[i]!.given,
            ids,
            response: tokenizer.decode(ids),
            finish,
            ...(finish === 'length' && { truncated: true }),
          });
      }),
    );
    disposeModel(model);
  },
});
