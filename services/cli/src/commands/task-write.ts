import { z } from 'zod';
import { defineCommand } from '../command';
import { compute } from '../compute/compute';
import { backend, dataSeed, integer, option, text } from '../option';

export const taskWrite = defineCommand({
  name: 'task write',
  summary: 'the built-in task as ordinary files: base model, pairs, prompts, gold',
  example: 'task write task --data-seed 11',
  arguments: { dir: option('<dir>', 'folder to write', text) },
  options: {
    dataSeed: option('<n>', 'seed of the preference pairs', dataSeed.default(11)),
    coverage: option(
      '<kind>',
      'pairs from one category (uneven) or all (even)',
      z.enum(['uneven', 'even']).default('uneven'),
    ),
    pairs: option('<n>', 'number of preference pairs', integer({ max: 1e6 }).default(300)),
    backend,
  },
  async run({ dir, backend: name, ...options }, context) {
    await compute('writeTask', { label: 'base model', backend: name, options: { folder: dir, ...options } }, context);
    return { document: { folder: dir, ...options }, text: `the built-in task is in ${dir}` };
  },
});
