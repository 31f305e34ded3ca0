import { publishFolder, readJson } from '@surefoot/files';
import {
  assertVocabularyFits,
  createModel,
  disposeModel,
  loadTokenizer,
  parameterCount,
  parseInitialisation,
  parseModelConfig,
  saveModel,
} from '@surefoot/language-model';
import { defineCommand } from '../command';
import { openForModel } from '../compute/open-backend';
import { backend, option, seed, text } from '../option';

export const modelCreate = defineCommand({
  name: 'model create',
  summary: 'a randomly initialised model folder of any geometry',
  example: 'model create --like config.json --tokenizer task/base --out fresh --seed 1',
  options: {
    like: option('<file>', 'config.json of the geometry', text),
    tokenizer: option('<dir>', 'folder whose tokenizer it gets', text),
    init: option('<file>', 'JSON of standard deviations; default those of GPT-2', text.optional()),
    out: option('<dir>', 'model folder to write', text),
    seed: seed(0),
    backend,
  },
  async run({ like, tokenizer: tokenizerFolder, init, out, seed: modelSeed, backend: name }, context) {
    const config = parseModelConfig(await readJson(like), like);
    assertVocabularyFits(await loadTokenizer(tokenizerFolder), config);
    const initialisation = init === undefined ? undefined : parseInitialisation(await readJson(init), init);
    await openForModel(name, context, parameterCount(config));
    const model = createModel(config, modelSeed, initialisation);
    await publishFolder(out, (folder) => saveModel(model, folder, { tokenizerFolder }));
    const parameters = parameterCount(config);
    disposeModel(model);
    return { document: { folder: out, parameters, seed: modelSeed }, text: `${out}: ${parameters} parameters` };
  },
});
