import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { defineCommand } from '../command';
import { outputRoot } from '../local/output-folder';
import { pidFiles, stopFolder } from '../local/pid-file';
import { option, text } from '../option';

const graceMs = 15_000;

export const stop = defineCommand({
  name: 'stop',
  summary: 'ends what an interrupted quickstart, experiment or run left running',
  example: 'stop --out surefoot-out/quickstart-20260101-120000',
  options: { out: option('<dir>', `its output folder; without it, every folder in ./${outputRoot}`, text.optional()) },
  async run({ out }) {
    const folders = out === undefined ? claimedFolders() : [out];
    let stopped = 0;
    for (const folder of folders) stopped += await stopFolder(folder, graceMs);
    return { document: { folders, stopped }, text: `stopped ${stopped} processes` };
  },
});

function claimedFolders(): string[] {
  if (!existsSync(outputRoot)) return [];
  return readdirSync(outputRoot)
    .map((name) => join(outputRoot, name))
    .filter((folder) => pidFiles(folder).length > 0);
}
