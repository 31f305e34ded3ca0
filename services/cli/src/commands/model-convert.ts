import { publishFolder } from '@surefoot/files';
import { convertModel } from '@surefoot/language-model';
import { defineCommand } from '../command';
import { dtype, maxShardBytes, modelFolder } from '../model-options';
import { option, text } from '../option';

export const modelConvert = defineCommand({
  name: 'model convert',
  summary: 'the same model with aligned weights, for mapping, in the dtype asked for',
  example: 'model convert --model task/base --out task/base-bf16 --dtype bf16',
  options: {
    model: modelFolder,
    out: option('<dir>', 'model folder to write', text),
    dtype: option('<dtype>', 'f32 or bf16; default bf16 where all weights are, else f32', dtype.optional()),
    maxShardSize: maxShardBytes,
  },
  async run({ model, out, dtype, maxShardSize }) {
    const form = { ...(dtype && { dtype }), ...(maxShardSize !== undefined && { maxShardBytes: maxShardSize }) };
    const written = await publishFolder(out, (folder) => convertModel(model, folder, form));
    return { document: { folder: out, ...written }, text: `${out}: weights in ${written.dtype}` };
  },
});
