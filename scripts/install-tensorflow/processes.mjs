// Programs that the installer runs beside itself, and how their long parts are shown.
import { spawn } from 'node:child_process';
import { once } from 'node:events';

const running = new Set();
let stopped = false;

/** Runs a program; resolves to its status and what it wrote. Its output goes nowhere else. */
export function runQuietly(program, args, { env = {}, cwd } = {}) {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
    running.add(child);
    child.on('error', (error) => resolve({ status: 1, stdout, stderr: `${program}: ${error.message}` }));
    child.on('close', (status, signal) => {
      running.delete(child);
      if (stopped) return; // who waits for it is not to go on
      resolve({
        status: status ?? 1,
        stdout,
        stderr: signal ? `${stderr}\n${program} was ended by ${signal}` : stderr,
      });
    });
  });
}

/** Ends the programs that run; resolves when they and what they started write no more. */
export async function stopPrograms() {
  stopped = true;
  await Promise.all([...running].map((child) => (child.kill(), once(child, 'close'))));
}

/** The last lines of what a program wrote, for an error message. */
export const lastLines = (text, count = 8) => text.trim().split('\n').slice(-count).join('\n');

export const say = (text) => process.stderr.write(`${text}\n`);

/**
 * Shows a number of megabytes while something goes on: on one line of a terminal each second, else every 15 seconds.
 *
 * @returns function that stops it
 */
export function showMegabytes(what, total, megabytesNow) {
  const { isTTY } = process.stderr;
  const line = () => `${what}: ${Math.min(megabytesNow(), total ?? Infinity)}${total ? ` of ${total}` : ''} MB`;
  if (!isTTY) say(`${what}${total ? ` (${total} MB)` : ''} …`);
  const timer = setInterval(() => (isTTY ? process.stderr.write(`\r${line()}`) : say(line())), isTTY ? 1_000 : 15_000);
  return () => {
    clearInterval(timer);
    if (isTTY) process.stderr.write(`\r\x1b[K`);
  };
}
