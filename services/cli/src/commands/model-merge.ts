import { publishFolder } from '@surefoot/files';
import { mergeModel, parameterCount, readModelConfig } from '@surefoot/language-model';
import { defineCommand } from '../command';
import { openForModel } from '../compute/open-backend';
import { dtype, maxShardBytes, modelFolder, noteOrigin } from '../model-options';
import { backend, option, text } from '../option';

export const modelMerge = defineCommand({
  name: 'model merge',
  summary: 'a model with an adapter worked into its weights',
  example: 'model merge --model task/base --adapter run/model --out merged',
  options: {
    model: modelFolder,
    adapter: option('<dir>', 'adapter folder as PEFT writes it', text),
    out: option('<dir>', 'model folder to write', text),
    dtype: option('<dtype>', 'f32 or bf16; default bf16 where all weights are, else f32', dtype.optional()),
    maxShardSize: maxShardBytes,
    backend,
  },
  async run({ model, adapter, out, dtype, maxShardSize, backend: computes }, context) {
    const form = { ...(dtype && { dtype }), ...(maxShardSize !== undefined && { maxShardBytes: maxShardSize }) };
    await openForModel(computes, context, parameterCount(await readModelConfig(model)));
    const written = await publishFolder(out, (folder) => mergeModel(model, adapter, folder, form));
    await noteOrigin(adapter, model, context.terminal);
    return {
      document: { folder: out, ...written },
      text: `${out}: ${written.changed} modules changed, weights in ${written.dtype}`,
    };
  },
});
