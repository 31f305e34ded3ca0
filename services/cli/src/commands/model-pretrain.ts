import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { readJson, readText } from '@surefoot/files';
import { loadTokenizer, parseModelConfig, type Tokenizer } from '@surefoot/language-model';
import { z } from 'zod';
import { defineCommand } from '../command';
import { compute } from '../compute/compute';
import { atLine, readLines } from '../lines';
import { modelFolder, weights } from '../model-options';
import { backend, integer, number, option, seed, text } from '../option';

export const modelPretrain = defineCommand({
  name: 'model pretrain',
  summary: 'next-token training of a small model on text',
  example: 'model pretrain --model fresh --text corpus.txt --out trained --steps 500',
  options: {
    model: modelFolder,
    text: option('<file>', 'a text a line, or .jsonl (gz too) of {"text"}', text),
    out: option('<dir>', 'model folder to write', text),
    steps: option('<n>', 'optimizer steps', integer({ max: 1e7 }).default(500)),
    batchSize: option('<n>', 'texts of a step', integer({ max: 65_536 }).default(64)),
    learningRate: option('<x>', 'peak of AdamW', number({ above: 0, max: 1 }).default(2e-3)),
    warmupSteps: option('<n>', 'steps of linear rise', integer({ min: 0 }).default(20)),
    finalFraction: option('<x>', 'last learning rate over the peak', number({ min: 0, max: 1 }).default(0.1)),
    weightDecay: option('<x>', 'decoupled', number({ min: 0, max: 10 }).default(0.01)),
    weights,
    seed: seed(0),
    backend,
  },
  async run({ model, text: file, out, backend: name, weights: form, ...training }, context) {
    if (form === 'bf16-mapped')
      throw new DomainError(
        'failed_precondition',
        'weights bf16-mapped cannot be trained, and pretraining trains all: use auto or f32',
      );
    const configPath = join(model, 'config.json');
    const { maxPositions } = parseModelConfig(await readJson(configPath), configPath);
    const tokenizer = await loadTokenizer(model);
    const texts = await readTexts(file);
    const sequences = texts.flatMap(({ line, value }) =>
      atLine(`${file} line ${line}`, () => windows(tokenizer, value, maxPositions)),
    );
    if (sequences.length === 0) throw new DomainError('invalid_argument', `${file}: no text of at least two tokens`);
    const options = { model, out, sequences, training };
    const { finalLoss } = await compute('pretrain', { label: 'pretrain', backend: name, options }, context);
    const document = {
      folder: out,
      texts: texts.length,
      sequences: sequences.length,
      steps: training.steps,
      finalLoss,
    };
    return { document, text: `${out}: loss ${finalLoss.toFixed(4)} nats a token after ${training.steps} steps` };
  },
});

async function readTexts(file: string): Promise<{ line: number; value: string }[]> {
  if (/\.jsonl(\.gz)?$/.test(file))
    return (await readLines(file, z.object({ text: z.string() }))).map(({ line, value }) => ({
      line,
      value: value.text,
    }));
  const content = await readText(file);
  return content.split(/\r?\n/).flatMap((value, i) => (value.trim() === '' ? [] : [{ line: i + 1, value }]));
}

/** A text's ids with its end, cut into pieces that the model can take. */
function windows(tokenizer: Tokenizer, value: string, maxPositions: number): Int32Array[] {
  const end = tokenizer.eosTokenId === undefined ? [] : [tokenizer.eosTokenId];
  const ids = Int32Array.of(...tokenizer.encode(value), ...end);
  const pieces = Array.from({ length: Math.ceil(ids.length / maxPositions) }, (_, i) =>
    ids.slice(i * maxPositions, (i + 1) * maxPositions),
  );
  return pieces.filter((piece) => piece.length >= 2);
}
