// `npm run quickstart [-- flags]`: from a fresh clone to a judged report.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ensure, main, root } from './ensure.mjs';

await main(() => {
  ensure();
  const child = spawn(
    process.execPath,
    [join(root, 'services/cli/bin/surefoot.js'), 'quickstart', ...process.argv.slice(2)],
    { stdio: 'inherit' },
  );
  // Ctrl-C reaches the child by itself; it stops what it has started and then ends, and so do we.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  return new Promise((resolve) => {
    child.on('error', (error) => {
      process.stderr.write(`cannot start surefoot: ${error.message}\n`);
      resolve(1);
    });
    child.on('exit', (code) => resolve(code ?? 1));
  });
});
