// `npm run quickstart [-- flags]`: from a fresh clone to a judged report.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ensure, main, root } from './ensure.mjs';

await main(() => {
  ensure();
  return 0;
});
if (process.exitCode === 0) {
  // In this process, so that Ctrl-C and a kill reach the command itself.
  const program = join(root, 'services/cli/bin/surefoot.js');
  process.argv.splice(1, 1, program, 'quickstart');
  createRequire(import.meta.url)(program);
}
