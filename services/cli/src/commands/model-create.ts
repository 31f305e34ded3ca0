import { publishFolder, readJson } from '@surefoot/files';
import {
  assertVocabularyFits,
  loadTokenizer,
  parameterCount,
  parseInitialisation,
  parseModelConfig,
  writeNewModel,
} from '@surefoot/language-model';
import { defineCommand } from '../command';
import { dtype, maxShardBytes } from '../model-options';
import { option, seed, text } from '../option';

export const modelCreate = defineCommand({
  name: 'model create',
  summary: 'a randomly initialised model folder of any geometry',
  example: 'model create --like config.json --tokenizer task/base --out fresh --seed 1',
  options: {
    like: option('<file>', 'config.json of the geometry', text),
    tokenizer: option('<dir>', 'folder whose tokenizer it gets', text),
    init: option(
      '<file>',
      'JSON of standard deviations: tokenEmbedding, positionEmbedding, head, matrices (or "fan-in"); default those of GPT-2',
      text.optional(),
    ),
    out: option('<dir>', 'model folder to write', text),
    dtype: option('<dtype>', 'of the weights: f32 or bf16', dtype.default('f32')),
    maxShardSize: maxShardBytes,
    seed: seed(0),
  },
  async run({ like, tokenizer: tokenizerFolder, init, out, dtype, maxShardSize, seed: modelSeed }, { terminal }) {
    const config = parseModelConfig(await readJson(like), like);
    assertVocabularyFits(await loadTokenizer(tokenizerFolder), config);
    const initialisation = init === undefined ? undefined : parseInitialisation(await readJson(init), init);
    const options = { initialisation, tokenizerFolder, dtype, maxShardBytes: maxShardSize };
    const parameters = parameterCount(config);
    if (parameters > 1e8) terminal.note(`model create: draws ${parameters.toLocaleString('en')} parameters`);
    await publishFolder(out, (folder) => writeNewModel(config, modelSeed, folder, options));
    return { document: { folder: out, parameters, seed: modelSeed }, text: `${out}: ${parameters} parameters` };
  },
});
