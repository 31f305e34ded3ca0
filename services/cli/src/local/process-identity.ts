import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** A process, told from any later one that the system gives the same number. */
export interface ProcessIdentity {
  pid: number;
  /** Start time and command line as the system reports them. */
  identity: string;
}

/** Who has this number now; undefined where nobody has. */
export function processIdentity(pid: number): ProcessIdentity | undefined {
  try {
    const identity = process.platform === 'linux' ? identityFromProc(pid) : identityFromPs(pid);
    return identity ? { pid, identity } : undefined;
  } catch {
    return undefined; // no such process
  }
}

/** True while that very process lives. */
export function isAlive({ pid, identity }: ProcessIdentity): boolean {
  return processIdentity(pid)?.identity === identity;
}

/** SIGTERM, and SIGKILL to what is left after `graceMs`. Resolves when all are gone. */
export async function endProcesses(processes: ProcessIdentity[], graceMs: number): Promise<void> {
  const living = () => processes.filter(isAlive);
  const send = (signal: NodeJS.Signals) => {
    for (const { pid } of living()) {
      try {
        process.kill(pid, signal);
      } catch {
        // It ended by itself in between.
      }
    }
  };
  send('SIGTERM');
  const deadline = Date.now() + graceMs;
  while (living().length > 0) {
    if (Date.now() > deadline) send('SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function identityFromProc(pid: number): string | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name in parentheses may hold anything; state is the first field after it, start time the twentieth.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z') return undefined;
  return `${fields[19]} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ').trim()}`;
}

function identityFromPs(pid: number): string {
  return execFileSync('ps', ['-o', 'lstart=', '-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).trim();
}
