import { SingleBar } from 'cli-progress';

/** How far a task has come, shown on stderr. */
export interface Progress {
  /** Counts finished units; `detail` stands at the end of the line. */
  advance(units: number, detail?: string): void;
  /** Ends the display; to be called also after a failure. */
  finish(): void;
}

const lineEveryMs = 10_000;

/** A bar with rate and time left where the stream is a terminal, a line every 10 s otherwise. */
export function createProgress(
  stream: NodeJS.WriteStream,
  task: { label: string; total: number; unit: string },
): Progress {
  return stream.isTTY ? bar(stream, task) : lines(stream, task);
}

function bar(stream: NodeJS.WriteStream, { label, total, unit }: { label: string; total: number; unit: string }) {
  const start = Date.now();
  const display = new SingleBar({
    stream,
    hideCursor: true,
    clearOnComplete: false,
    barsize: 24,
    format: `${label} {bar} {value}/{total} ${unit}  {rate}  {left}  {detail}`,
  });
  display.start(total, 0, { rate: '', left: '', detail: '' });
  let done = 0;
  return {
    advance(units: number, detail = '') {
      done += units;
      display.update(Math.min(done, total), { ...speed(done, total, unit, start), detail });
    },
    finish: () => display.stop(),
  };
}

function lines(stream: NodeJS.WriteStream, { label, total, unit }: { label: string; total: number; unit: string }) {
  const start = Date.now();
  let done = 0;
  let detail = '';
  const write = () => {
    const { rate, left } = speed(done, total, unit, start);
    stream.write([`${label}: ${done}/${total} ${unit}`, rate, left, detail].filter(Boolean).join(', ') + '\n');
  };
  let written = false;
  const timer = setInterval(() => {
    written = true;
    write();
  }, lineEveryMs);
  timer.unref();
  return {
    advance(units: number, newDetail = '') {
      done += units;
      detail = newDetail;
    },
    finish() {
      clearInterval(timer);
      // A task that was over at once needs no line.
      if (written) write();
    },
  };
}

/** Units a second (or seconds a unit) and the time left at that rate. */
function speed(done: number, total: number, unit: string, start: number): { rate: string; left: string } {
  const seconds = (Date.now() - start) / 1000;
  if (done === 0 || seconds === 0) return { rate: '', left: '' };
  const perSecond = done / seconds;
  const rate = perSecond >= 1 ? `${perSecond.toPrecision(3)} ${unit}/s` : `${(1 / perSecond).toPrecision(3)} s each`;
  return { rate, left: done < total ? `${duration((total - done) / perSecond)} left` : `${duration(seconds)} in all` };
}

function duration(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${Math.round(seconds % 60)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
