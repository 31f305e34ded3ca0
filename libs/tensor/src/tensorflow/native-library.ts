import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/**
 * The folder that `npm run install:tensorflow` fills: `tfjs_binding.node`, and `tensorflow/` with the native library, which the
 * binding finds beside itself. `SUREFOOT_TENSORFLOW_DIR` names another.
 */
export function tensorflowFolder(): string {
  // eslint-disable-next-line no-restricted-properties -- where a library lies is a property of the machine, as LD_LIBRARY_PATH
  const { SUREFOOT_TENSORFLOW_DIR, XDG_CACHE_HOME } = process.env;
  return SUREFOOT_TENSORFLOW_DIR ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'surefoot', 'tensorflow');
}

/** Whether there is a native library to load. */
export function hasTensorflow(): boolean {
  return existsSync(join(tensorflowFolder(), 'tfjs_binding.node'));
}
