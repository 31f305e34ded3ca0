import { SingleBar } from 'cli-progress';

/** How far a task has come, shown on stderr. */
export interface Progress {
  /** Counts finished units; `detail` stands at the end of the line. The rate counts from the first ones on. */
  advance(units: number, detail?: string): void;
  /** Ends the display; to be called also after a failure. */
  finish(): void;
}

const lineEveryMs = 10_000;

interface Task {
  label: string;
  total: number;
  unit: string;
}

/**
 * A bar with rate and time left where the stream is a terminal, a line every 10 s otherwise.
 *
 * @param bars holds, while it is shown, what draws the bar anew after other lines
 */
export function createProgress(stream: NodeJS.WriteStream, task: Task, bars: Set<() => void> = new Set()): Progress {
  return stream.isTTY ? bar(stream, task, bars) : lines(stream, task);
}

function bar(stream: NodeJS.WriteStream, { label, total, unit }: Task, bars: Set<() => void>) {
  const count = createCount(total, unit);
  const display = new SingleBar({
    stream,
    hideCursor: true,
    clearOnComplete: false,
    barsize: 24,
    format: `${label} {bar} {value}/{total} ${unit}  {rate}  {left}  {detail}`,
  });
  display.start(total, 0, { rate: '', left: '', detail: '' });
  const redraw = () => display.render();
  bars.add(redraw);
  return {
    advance(units: number, detail = '') {
      count.add(units);
      display.update(Math.min(count.done(), total), { ...count.speed(), detail });
    },
    finish() {
      bars.delete(redraw);
      display.stop();
    },
  };
}

function lines(stream: NodeJS.WriteStream, { label, total, unit }: Task) {
  const count = createCount(total, unit);
  let detail = '';
  const write = () => {
    const { rate, left } = count.speed();
    stream.write([`${label}: ${count.done()}/${total} ${unit}`, rate, left, detail].filter(Boolean).join(', ') + '\n');
  };
  let written = false;
  const timer = setInterval(() => {
    written = true;
    write();
  }, lineEveryMs);
  timer.unref();
  return {
    advance(units: number, newDetail = '') {
      count.add(units);
      detail = newDetail;
    },
    finish() {
      clearInterval(timer);
      // A task that was over at once needs no line.
      if (written) write();
    },
  };
}

/** Counts units, and tells how fast they come: a second's (or the seconds of one) and the time left at that rate. */
export function createCount(total: number, unit: string, now: () => number = Date.now) {
  const begun = now();
  let first: { at: number; done: number } | undefined;
  let done = 0;
  return {
    done: () => done,
    add(units: number) {
      done += units;
      // What comes before the first unit, such as a measurement, says nothing of the others.
      if (!first && done > 0) first = { at: now(), done };
    },
    speed(): { rate: string; left: string } {
      const seconds = first ? (now() - first.at) / 1000 : 0;
      const counted = done - (first?.done ?? 0);
      const perSecond = counted > 0 && seconds > 0 ? counted / seconds : undefined;
      const inAll = `${duration((now() - begun) / 1000)} in all`;
      if (perSecond === undefined) return { rate: '', left: done > 0 && done >= total ? inAll : '' };
      const rate =
        perSecond >= 1 ? `${perSecond.toPrecision(3)} ${unit}/s` : `${(1 / perSecond).toPrecision(3)} s each`;
      return { rate, left: done < total ? `${duration((total - done) / perSecond)} left` : inAll };
    },
  };
}

function duration(seconds: number): string {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${Math.round(seconds % 60)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
