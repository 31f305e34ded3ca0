import { DomainError } from '@surefoot/errors';

/** Says whether a whole text matches a pattern. */
export type FullMatch = (text: string) => boolean;

/** Nodes of a pattern; `id` numbers them for what is remembered of each. */
type Node =
  | { id: number; kind: 'character'; accepts: (character: string) => boolean }
  | { id: number; kind: 'sequence' | 'choice'; parts: Node[] }
  | { id: number; kind: 'repeat'; part: Node; least: number; most: number }
  | { id: number; kind: 'look'; part: Node; isAhead: boolean; isNegative: boolean }
  | { id: number; kind: 'position'; holds: (text: string, at: number) => boolean };

const longestPattern = 2_000;
const deepestGroup = 50;
/** About a second of work; what real adapters need is below a thousandth of it. */
const stepsOfAll = 10_000_000;

/**
 * Regular expressions with the meaning that Python's `re.fullmatch` gives them, in bounded time.
 *
 * Instead of backtracking, the set of places where each part of the pattern can end is computed once for each place where it
 * can begin: `O(pattern · text^2)`, whatever the pattern. That decides whether a text matches, which is all that is asked.
 *
 * Supported: literals, classes, escapes, groups, alternatives, repeats (greedy or lazy, which a full match cannot tell apart),
 * look-ahead and look-behind, anchors, word boundaries, the flags i, s, m, u and a.
 *
 * @returns compiles a pattern; all patterns of one compiler share its budget of steps. It throws DomainError invalid_argument
 *   naming the pattern for syntax errors, for what is not supported (back-references, conditionals, possessive repeats, atomic
 *   groups, verbose patterns) and, while matching, where the budget is spent
 *
 * Source: Python 3.11 `re`.
 */
export function patternCompiler(steps = stepsOfAll): (pattern: string, source: string) => FullMatch {
  const budget = { steps };
  return (pattern, source) => {
    const invalid = (problem: string) =>
      new DomainError('invalid_argument', `${source}: pattern ${JSON.stringify(pattern.slice(0, 200))} ${problem}`);
    if (pattern.length > longestPattern)
      throw invalid(`has ${pattern.length} characters, ${longestPattern} are supported`);
    const { root, count } = parse(pattern, invalid);
    return (text) => endsOf(count, text, budget, invalid)(root, 0).has(text.length);
  };
}

function endsOf(
  count: number,
  text: string,
  budget: { steps: number },
  invalid: (problem: string) => DomainError,
): (node: Node, from: number) => ReadonlySet<number> {
  const known: ReadonlySet<number>[][] = Array.from({ length: count }, () => []);

  function ends(node: Node, from: number): ReadonlySet<number> {
    return (known[node.id]![from] ??= compute(node, from));
  }

  function after(node: Node, starts: ReadonlySet<number>): Set<number> {
    const found = new Set<number>();
    for (const start of starts)
      for (const end of ends(node, start)) {
        spend();
        found.add(end);
      }
    return found;
  }

  function compute(node: Node, from: number): ReadonlySet<number> {
    spend();
    switch (node.kind) {
      case 'character':
        return new Set(from < text.length && node.accepts(text[from]!) ? [from + 1] : []);
      case 'sequence':
        return node.parts.reduce<ReadonlySet<number>>((starts, part) => after(part, starts), new Set([from]));
      case 'choice':
        return new Set(node.parts.flatMap((part) => [...ends(part, from)]));
      case 'position':
        return new Set(node.holds(text, from) ? [from] : []);
      case 'look': {
        const isFound = node.isAhead
          ? ends(node.part, from).size > 0
          : Array.from({ length: from + 1 }, (_, start) => start).some((start) => ends(node.part, start).has(from));
        return new Set(isFound !== node.isNegative ? [from] : []);
      }
      case 'repeat':
        return repeated(node, from);
    }
  }

  function repeated({ part, least, most }: Node & { kind: 'repeat' }, from: number): Set<number> {
    // Each repeat that consumes nothing leaves the set as it is, so more repeats than characters add nothing.
    const enough = text.length + 1;
    let last: Set<number> = new Set([from]);
    for (let i = 0; i < Math.min(least, enough) && last.size > 0; i++) last = after(part, last);
    const all = new Set(last);
    for (let i = 0; i < Math.min(most - least, enough) && last.size > 0; i++) {
      last = new Set([...after(part, last)].filter((end) => !all.has(end)));
      for (const end of last) all.add(end);
    }
    return all;
  }

  function spend(): void {
    if (budget.steps-- <= 0) throw invalid('takes too long to match: write it simpler, or list the modules');
  }
  return ends;
}

/** Recursive descent over the pattern. */
function parse(pattern: string, invalid: (problem: string) => DomainError): { root: Node; count: number } {
  let at = 0;
  let count = 0;
  let depth = 0;
  let ignoresCase = false;
  let dotTakesAll = false;
  const unsupported = (what: string) => invalid(`has ${what}, which is not supported here`);
  const take = (text: string) => {
    if (!pattern.startsWith(text, at)) return false;
    at += text.length;
    return true;
  };
  const takeMatch = (expression: RegExp) => {
    expression.lastIndex = at;
    const match = expression.exec(pattern);
    if (match) at += match[0].length;
    return match;
  };

  function choice(): Node {
    if (++depth > deepestGroup) throw unsupported(`more than ${deepestGroup} nested groups`);
    const parts = [sequence()];
    while (take('|')) parts.push(sequence());
    depth--;
    return parts.length === 1 ? parts[0]! : { id: count++, kind: 'choice', parts };
  }

  function sequence(): Node {
    const parts: Node[] = [];
    while (at < pattern.length && pattern[at] !== '|' && pattern[at] !== ')') {
      const part = atom();
      if (part) parts.push(quantified(part));
    }
    return { id: count++, kind: 'sequence', parts };
  }

  function quantified(part: Node): Node {
    const range = quantifier();
    if (!range) return part;
    if (part.kind === 'position') throw invalid('repeats an anchor');
    const [least, most] = range;
    if (least > most) throw invalid('has a repeat whose least is above its most');
    if (take('+')) throw unsupported('a possessive repeat');
    take('?');
    if (quantifier()) throw invalid('has a repeat of a repeat');
    return { id: count++, kind: 'repeat', part, least, most };
  }

  function quantifier(): [number, number] | undefined {
    if (take('*')) return [0, Infinity];
    if (take('+')) return [1, Infinity];
    if (take('?')) return [0, 1];
    const braces = takeMatch(/\{(\d*)(,?)(\d*)\}/y);
    if (!braces) return undefined;
    const [whole, least = '', comma = '', most = ''] = braces;
    // Python reads `{}` as text.
    if (least === '' && comma === '') {
      at -= whole.length;
      return undefined;
    }
    return [Number(least || 0), most === '' ? (comma ? Infinity : Number(least)) : Number(most)];
  }

  function atom(): Node | undefined {
    const character = pattern[at++]!;
    if (character === '(') return group();
    if (character === '[') return characterNode(characterClass());
    if (character === '.') return characterNode(dotTakesAll ? () => true : (c) => c !== '\n');
    if (character === '^') return position((_, i) => i === 0);
    if (character === '$')
      return position((text, i) => i === text.length || (i === text.length - 1 && text[i] === '\n'));
    if (character === '\\') return escape();
    if ('*+?'.includes(character)) throw invalid('repeats nothing');
    return characterNode(equals(character));
  }

  function group(): Node | undefined {
    if (takeMatch(/\?#[^)]*\)/y)) return undefined;
    if (takeMatch(/\?P=|\?\(/y)) throw unsupported('a back-reference or conditional');
    if (take('?>')) throw unsupported('an atomic group');
    const flags = takeMatch(/\?([aimsuLx]*)(-[imsx]+)?([:)])/y);
    if (flags) return flagged(flags);
    const look = takeMatch(/\?(<?)([=!])/y);
    takeMatch(/\?P<\w+>/y);
    if (pattern[at] === '?') throw invalid('has an unknown kind of group');
    const part = closed(choice);
    if (!look) return part;
    return { id: count++, kind: 'look', part, isAhead: look[1] === '', isNegative: look[2] === '!' };
  }

  function flagged([whole, on = '', off = '', end]: RegExpExecArray): Node | undefined {
    if (/[xL]/.test(on + off)) throw unsupported('a flag other than i, s, m, u or a');
    const before = [ignoresCase, dotTakesAll] as const;
    if (on.includes('i')) ignoresCase = true;
    if (off.includes('i')) ignoresCase = false;
    if (on.includes('s')) dotTakesAll = true;
    if (off.includes('s')) dotTakesAll = false;
    if (end === ')') {
      if (at !== whole.length + 1) throw invalid('has flags that are not at its start');
      return undefined;
    }
    const part = closed(choice);
    [ignoresCase, dotTakesAll] = before;
    return part;
  }

  function closed(read: () => Node): Node {
    const node = read();
    if (!take(')')) throw invalid('has a group that is not closed');
    return node;
  }

  function escape(): Node {
    const letter = pattern[at] ?? '';
    if (letter === '') throw invalid('ends in a backslash');
    if (/[1-9]/.test(letter)) throw unsupported('a back-reference');
    const anchor = anchors[letter];
    if (anchor) {
      at++;
      return position(anchor);
    }
    return characterNode(escaped());
  }

  /** What an escape accepts, of classes and outside; `at` is behind the backslash. */
  function escaped(): (character: string) => boolean {
    const letter = pattern[at++]!;
    const kind = classes[letter.toLowerCase()];
    if (kind) return letter === letter.toLowerCase() ? (c) => kind.test(c) : (c) => !kind.test(c);
    return equals(escapedCharacter(letter));
  }

  function escapedCharacter(letter: string): string {
    const length = { x: 2, u: 4, U: 8 }[letter];
    if (length !== undefined) {
      const digits = pattern.slice(at, at + length);
      if (!/^[\da-fA-F]+$/.test(digits) || digits.length < length || parseInt(digits, 16) > 0xffff)
        throw invalid(`has \\${letter} without a character of the basic plane`);
      at += length;
      return String.fromCharCode(parseInt(digits, 16));
    }
    const control = controls[letter];
    if (control !== undefined) return control;
    if (/[a-zA-Z]/.test(letter)) throw invalid(`has an unknown escape \\${letter}`);
    return letter;
  }

  function characterClass(): (character: string) => boolean {
    const isNegative = take('^');
    const accepted: ((character: string) => boolean)[] = [];
    for (let first = true; first || pattern[at] !== ']'; first = false) {
      if (at >= pattern.length) throw invalid('has a class that is not closed');
      const low = classItem();
      if (pattern[at] !== '-' || pattern[at + 1] === ']' || at + 1 >= pattern.length) {
        accepted.push(typeof low === 'string' ? equals(low) : low);
        continue;
      }
      at++;
      const high = classItem();
      if (typeof low !== 'string' || typeof high !== 'string' || low > high)
        throw invalid('has a class with a bad range');
      accepted.push(between(low, high));
    }
    at++;
    return (character) => accepted.some((accepts) => accepts(character)) !== isNegative;
  }

  function classItem(): string | ((character: string) => boolean) {
    const character = pattern[at++]!;
    if (character !== '\\') return character;
    const letter = pattern[at] ?? '';
    if (letter === '') throw invalid('ends in a backslash');
    if (classes[letter.toLowerCase()]) return escaped();
    at++;
    return letter === 'b' ? '\b' : escapedCharacter(letter);
  }

  const position = (holds: (text: string, at: number) => boolean): Node => ({ id: count++, kind: 'position', holds });
  const characterNode = (accepts: (character: string) => boolean): Node => ({
    id: count++,
    kind: 'character',
    accepts,
  });
  const equals = (wanted: string) => {
    if (!ignoresCase) return (character: string) => character === wanted;
    const lower = wanted.toLowerCase();
    return (character: string) => character.toLowerCase() === lower;
  };
  const between = (low: string, high: string) => {
    const isWithin = (character: string) => low <= character && character <= high;
    return ignoresCase ? (c: string) => isWithin(c.toLowerCase()) || isWithin(c.toUpperCase()) : isWithin;
  };

  const root = choice();
  if (at < pattern.length) throw invalid('has a closing bracket without an opening one');
  return { root, count };
}

const isWord = (text: string, at: number) => /\w/.test(text[at] ?? '');
const isBoundary = (text: string, at: number) => isWord(text, at - 1) !== isWord(text, at);
const anchors: Partial<Record<string, (text: string, at: number) => boolean>> = {
  A: (_, at) => at === 0,
  Z: (text, at) => at === text.length,
  b: isBoundary,
  B: (text, at) => !isBoundary(text, at),
};
const classes: Partial<Record<string, RegExp>> = { d: /\p{Nd}/u, w: /[\p{L}\p{N}_]/u, s: /\s/ };
const controls: Partial<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  f: '\f',
  v: '\v',
  a: '\x07',
  '0': '\0',
};
