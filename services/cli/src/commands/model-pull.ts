import { defineCommand } from '../command';
import { hubSettings } from '../hub/environment';
import { pullModel } from '../hub/pull';
import { repositoryName, revisionName } from '../hub/repository';
import { option, text } from '../option';

export const modelPull = defineCommand({
  name: 'model pull',
  summary:
    "a Hugging Face repository's model files, resumable, digests checked; HF_ENDPOINT, HF_TOKEN and HF_HOME as in Python",
  example: 'model pull google/gemma-2b-it --out gemma',
  arguments: { repo: option('<repo>', 'ORG/NAME', repositoryName) },
  options: {
    revision: option('<name>', 'branch, tag or commit', revisionName.default('main')),
    out: option('<dir>', 'model folder to write', text),
  },
  async run({ repo, revision, out }, { env, terminal, signal }) {
    const pulled = await pullModel(await hubSettings(env), { name: repo, revision, out }, { terminal, signal });
    const { files, bytes, downloadedBytes, commit } = pulled;
    const megabytes = (count: number) => `${(count / 1e6).toFixed(1)} MB`;
    return {
      document: pulled,
      text: `${out}: ${repo} at ${commit}, ${files.length} files, ${megabytes(bytes)}, ${megabytes(downloadedBytes)} of it downloaded`,
    };
  },
});
