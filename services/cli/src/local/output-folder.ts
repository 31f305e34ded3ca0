import { join } from 'node:path';

/** Where commands without `--out` put what they make. */
export const outputRoot = 'surefoot-out';

/** A new folder for one run of a command, named by the time. */
export function defaultOutput(command: string): string {
  const time = new Date().toISOString().slice(0, 19).replace(/[-:]/g, '').replace('T', '-');
  return join(outputRoot, `${command}-${time}`);
}
