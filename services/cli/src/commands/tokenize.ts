import { loadTokenizer, type Tokenizer } from '@surefoot/language-model';
import { z } from 'zod';
import { defineCommand } from '../command';
import { atLine, inFile, outFile, readLines, refuseOverwriting, writeLines } from '../lines';
import { modelFolder } from '../model-options';

const id = z.union([z.string(), z.int()]).optional();
const message = z.object({ role: z.string(), content: z.string() });
const line = z.union(
  [
    z.object({
      id,
      text: z.string(),
      addSpecialTokens: z.boolean().default(true),
      allowSpecial: z.boolean().default(false),
    }),
    z.object({
      id,
      messages: z.array(message).min(1),
      addGenerationPrompt: z.boolean().default(false),
      allowSpecial: z.boolean().default(false),
    }),
  ],
  'must hold "text", or "messages" as a list of {"role", "content"}',
);

const lineHelp =
  '{"text"} or {"messages"}, with "addSpecialTokens" (true), "addGenerationPrompt" (false), "allowSpecial" (false: special tokens in a text are text)';

export const tokenize = defineCommand({
  name: 'tokenize',
  summary: 'token ids of texts and conversations, a JSON line for each line read',
  example: 'tokenize --model task/base --in texts.jsonl',
  options: { model: modelFolder, in: inFile(lineHelp), out: outFile },
  async run({ model, in: file, out }, { terminal }) {
    await refuseOverwriting({ in: file, out });
    const tokenizer = await loadTokenizer(model);
    const rows = await readLines(file, line);
    await writeLines(out, terminal, async (write) => {
      for (const { line: place, value } of rows) {
        const tokens = atLine(`${file} line ${place}`, () => tokenized(tokenizer, value));
        await write({ ...(value.id !== undefined && { id: value.id }), ...tokens });
      }
    });
  },
});

function tokenized(tokenizer: Tokenizer, input: z.output<typeof line>): { ids: Int32Array; text: string } {
  if ('messages' in input) {
    const { messages, addGenerationPrompt, allowSpecial } = input;
    return {
      ids: tokenizer.encodeChat(messages, { addGenerationPrompt, allowSpecial }),
      text: tokenizer.renderChat(messages, { addGenerationPrompt }),
    };
  }
  const ids = tokenizer.encode(input.text, input);
  return { ids, text: tokenizer.decode(ids) };
}
