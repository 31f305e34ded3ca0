import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { counted } from '@surefoot/risk';
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
    if (out !== undefined && !existsSync(out)) throw new DomainError('not_found', `${out} does not exist`);
    const folders = out === undefined ? claimedFolders() : [out];
    let stopped = 0;
    for (const folder of folders) stopped += await stopFolder(folder, graceMs);
    return { document: { folders, stopped }, text: `stopped ${counted(stopped, 'process', 'processes')}` };
  },
});

function claimedFolders(): string[] {
  if (!existsSync(outputRoot)) return [];
  return readdirSync(outputRoot)
    .map((name) => join(outputRoot, name))
    .filter((folder) => pidFiles(folder).length > 0);
}
