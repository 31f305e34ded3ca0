import { commands } from './commands';
import type { Context } from './command';
import { describeFailure, exitStatus } from './failure';
import { runProgram } from './program';
import { createTerminal } from './terminal';

/** How long an interrupted command may take to keep what is finished and to stop what it started. */
const graceMs = 15_000;

async function main(): Promise<number> {
  const interruption = new AbortController();
  const interrupt = () => {
    if (interruption.signal.aborted) process.exit(exitStatus.interrupted);
    interruption.abort();
    setTimeout(() => process.exit(exitStatus.interrupted), graceMs).unref();
  };
  const listen = () => {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      if (!process.listeners(name).includes(interrupt)) process.on(name, interrupt);
  };
  // A reader that has seen enough (`| head -1`) ends us quietly.
  process.stdout.on('error', () => process.exit(exitStatus.done));
  // One that reads no progress any more ends nothing: the work goes on, and what it says is dropped.
  process.stderr.on('error', () => undefined);
  const context: Context = {
    terminal: createTerminal(process.stdout, process.stderr),
    // A command that never asks has nothing to end: the operating system stops it at once, also while it computes.
    get signal() {
      listen();
      return interruption.signal;
    },
    // As it was given: TensorFlow's settings for this process, set when it is opened here, are not for child processes.
    env: { ...process.env },
  };
  try {
    await runProgram(commands, process.argv.slice(2), context);
    return exitStatus.done;
  } catch (error) {
    const { status, line } = describeFailure(error);
    const wasInterrupted = interruption.signal.aborted;
    context.terminal.note(`surefoot: ${wasInterrupted && status !== exitStatus.interrupted ? 'interrupted' : line}`);
    return wasInterrupted ? exitStatus.interrupted : status;
  }
}

// Open connections and worker threads do not keep an ended command alive.
void main().then((status) => process.exit(status));
