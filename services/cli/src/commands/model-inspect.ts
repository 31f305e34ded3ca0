import { inspectModel } from '@surefoot/language-model';
import { defineCommand } from '../command';
import { option, text } from '../option';

export const modelInspect = defineCommand({
  name: 'model inspect',
  summary: 'architecture, parameters, bytes, tokenizer, and what would not load and why',
  example: 'model inspect task/base',
  arguments: { dir: option('<dir>', 'model folder', text) },
  options: {},
  async run({ dir }) {
    const description = await inspectModel(dir);
    const { config, tokenizer, problems, ...rest } = description;
    const rows: [string, unknown][] = [
      ...Object.entries(rest),
      ...Object.entries(config ?? {}),
      ...Object.entries(tokenizer ?? {}).map(([name, value]): [string, unknown] => [`tokenizer ${name}`, value]),
      ['would not load', problems.length === 0 ? 'nothing' : problems.join('; ')],
    ];
    return { document: description, text: rows.map(([name, value]) => `${name}: ${String(value)}`).join('\n') };
  },
});
