import { longestList } from './template-interpreter';

/** The names that a chat template finds beside its variables, as in transformers. */
export function templateGlobals(now: Date): Record<string, unknown> {
  return {
    ...{ true: true, false: false, none: null, True: true, False: false, None: null },
    raise_exception: (message: string) => {
      throw new Error(message);
    },
    range,
    strftime_now: (format: string) => strftime(now, String(format)),
  };
}

/** Python's `range`, of as many elements as Jinja's sandbox allows. */
function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  if (![start, stop, step].every(Number.isInteger) || step === 0)
    throw new Error('range takes whole numbers, and a step other than 0');
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (length > longestList) throw new Error(`range gives at most ${longestList} numbers`);
  return Array.from({ length }, (_, i) => start + i * step);
}

const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const months = [
  ...['January', 'February', 'March', 'April', 'May', 'June'],
  ...['July', 'August', 'September', 'October', 'November', 'December'],
];

/** Python's `strftime` in English, in local time; directives that it does not know stay as they are. */
function strftime(date: Date, format: string): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const hour = date.getHours();
  const startOfYear = new Date(date.getFullYear(), 0, 0);
  const directives: Record<string, () => string> = {
    a: () => days[date.getDay()]!.slice(0, 3),
    A: () => days[date.getDay()]!,
    b: () => months[date.getMonth()]!.slice(0, 3),
    B: () => months[date.getMonth()]!,
    d: () => two(date.getDate()),
    H: () => two(hour),
    I: () => two(hour % 12 || 12),
    j: () => String(Math.round((startOfDay(date) - startOfYear.getTime()) / 86_400_000)).padStart(3, '0'),
    m: () => two(date.getMonth() + 1),
    M: () => two(date.getMinutes()),
    p: () => (hour < 12 ? 'AM' : 'PM'),
    S: () => two(date.getSeconds()),
    y: () => two(date.getFullYear() % 100),
    Y: () => String(date.getFullYear()),
    '%': () => '%',
  };
  return format.replace(/%(.)/g, (whole, letter: string) => directives[letter]?.() ?? whole);
}

function startOfDay(date: Date): number {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
}
