// `npm test [-- PROJECT…]`: every test, or those of the projects named; the last line counts them.
import { pathToFileURL } from 'node:url';
import { mkdirSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { ensure, main, nx, root } from './ensure.mjs';

// Where the `test` target (nx.json) has jest write its summaries; nx brings them back for cached runs too.
const summaries = join(root, 'node_modules/.cache/surefoot-tests');

/** Runs the tests, names those that failed and prints how many passed; returns the exit status. */
export function test(projects = []) {
  rmSync(summaries, { recursive: true, force: true });
  mkdirSync(summaries, { recursive: true });
  const only = projects.length > 0 ? ['-p', projects.join(',')] : [];
  // The command line's come last and mostly wait for the processes that they start: they have as many workers as there are
  // processors (services/cli/package.json), the others one less.
  const status = nx(['run-many', '-t', 'test', '--outputStyle=static', '--parallel=2', ...only]);
  const total = { passed: 0, failed: 0, skipped: 0 };
  for (const file of readdirSync(summaries)) {
    const summary = JSON.parse(readFileSync(join(summaries, file), 'utf8'));
    total.passed += summary.numPassedTests;
    total.failed += summary.numFailedTests + summary.numRuntimeErrorTestSuites;
    total.skipped += summary.numPendingTests + summary.numTodoTests;
    for (const name of failures(summary)) process.stdout.write(`failed: ${name}\n`);
  }
  // A project that did not even build has no summary: it counts as one failure.
  if (status !== 0 && total.failed === 0) total.failed = 1;
  process.stdout.write(countLine(total));
  return status === 0 && total.failed === 0 ? 0 : 1;
}

/** The tests that failed, each with its file, and the files that could not be run at all. */
const failures = ({ testResults }) =>
  testResults
    .filter(({ status }) => status === 'failed')
    .flatMap(({ name, assertionResults }) => {
      const failed = assertionResults.filter(({ status }) => status === 'failed');
      const titles = failed.map(({ ancestorTitles, title }) => [...ancestorTitles, title].join(' › '));
      return (titles.length > 0 ? titles : ['it could not be run']).map((title) => `${relative(root, name)}: ${title}`);
    });

/** `N passed, N failed`, and the skipped where there are some. */
export const countLine = ({ passed, failed, skipped }) =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`;

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href)
  await main(() => {
    const projects = process.argv.slice(2);
    ensure({ build: false });
    return test(projects);
  });
