import { readFileSync, writeFileSync } from 'node:fs';
import { commands } from '../commands';
import { describeFailure, exitStatus } from '../failure';
import { runProgram } from '../program';
import { createTerminal } from '../terminal';

/** A command for this process, which meets one after the other. */
export interface GivenCommand {
  words: string[];
  cwd: string;
  env: NodeJS.ProcessEnv;
}

/** How it ended here. */
export interface CommandEnd {
  status: number;
  stdout: string;
  stderr: string;
  /** The most memory that the process had meanwhile; only where Linux counts it. */
  megabytes?: number;
}

const written = { stdout: '', stderr: '' };
for (const name of ['stdout', 'stderr'] as const)
  process[name].write = ((text: string | Uint8Array, done?: () => void) => {
    written[name] += String(text);
    done?.();
    return true;
  }) as typeof process.stdout.write;

function forgetPeak(): void {
  globalThis.gc?.();
  if (process.platform === 'linux') writeFileSync('/proc/self/clear_refs', '5');
}

function peak(): Pick<CommandEnd, 'megabytes'> {
  if (process.platform !== 'linux') return {};
  const [, kilobytes] = /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))!;
  return { megabytes: Number(kilobytes) / 1024 };
}

async function meet({ words, cwd, env }: GivenCommand): Promise<CommandEnd> {
  process.chdir(cwd);
  Object.assign(written, { stdout: '', stderr: '' });
  forgetPeak();
  const terminal = createTerminal(process.stdout, process.stderr);
  const { signal } = new AbortController();
  let status: number = exitStatus.done;
  try {
    await runProgram(commands, words, { terminal, signal, env });
  } catch (error) {
    const failure = describeFailure(error);
    status = failure.status;
    terminal.note(`surefoot: ${failure.line}`);
  }
  return { status, ...written, ...peak() };
}

process.on('message', (given: GivenCommand) => void meet(given).then((end) => process.send!(end)));
