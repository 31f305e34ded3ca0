// `npm run check`: everything that must hold before a change is merged. Every step runs, so that one look shows all that is
// wrong; the tests come last, so that their count is the last line.
import { mkdtempSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensure, main, nx, root, run } from './ensure.mjs';
import { countLine, test } from './test.mjs';

const bin = (name) => join(root, 'node_modules', '.bin', process.platform === 'win32' ? `${name}.cmd` : name);
const git = (...args) => spawnSync('git', args, { cwd: root, encoding: 'utf8' });

/** Compares the contract with the one on main, where this checkout knows main. */
function breakingChanges() {
  const base = ['main', 'origin/main']
    .map((branch) => git('rev-parse', '--verify', '--quiet', `${branch}^{commit}`).stdout?.trim())
    .find((commit) => commit && git('cat-file', '-e', `${commit}:proto/buf.yaml`).status === 0);
  if (!base) {
    process.stderr.write('skipped: no branch main to compare the contract with\n');
    return 0;
  }
  const folder = mkdtempSync(join(tmpdir(), 'surefoot-contract-'));
  try {
    const archive = join(folder, 'main.tar');
    if (git('archive', '-o', archive, base, 'proto').status !== 0) throw new Error('git archive failed');
    return run(bin('buf'), ['breaking', 'proto', '--against', `${archive}#subdir=proto`]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const steps = [
  ['references between projects', () => nx(['sync:check'])],
  ['formatting', () => run(bin('prettier'), ['--check', '--log-level=warn', '.'])],
  ['build', () => nx(['run-many', '-t', 'build', '--outputStyle=static'])],
  ['lint', () => nx(['run-many', '-t', 'lint', '--outputStyle=static', '--parallel=2'])],
  ['contract against main', breakingChanges],
];

await main(() => {
  try {
    ensure({ build: false });
  } catch (error) {
    process.stdout.write(countLine({ passed: 0, failed: 1, skipped: 0 }));
    throw error;
  }
  const failed = steps.filter(([name, step]) => {
    process.stderr.write(`\n— ${name}\n`);
    return step() !== 0;
  });
  process.stderr.write('\n— tests\n');
  if (failed.length > 0) process.stderr.write(`not in order: ${failed.map(([name]) => name).join(', ')}\n`);
  return Math.max(failed.length > 0 ? 1 : 0, test());
});
