import { createContext, runInContext } from 'node:vm';
import { DomainError } from '@surefoot/errors';

/** Which names a whole pattern matches. @param source what the pattern is, for errors */
export type MatchNames = (pattern: string, source: string) => ReadonlySet<string>;

const longestPattern = 2_000;

/**
 * Matches names as Python's `re.fullmatch` does, by a translation to this language's regular expressions.
 *
 * @param names   of modules: ASCII without line ends, so that `\d`, `\w`, `.` and `$` mean the same in both languages
 * @param limitMs for all patterns together, which in an adapter of 560 modules take 300; what takes longer is interrupted
 * @throws DomainError (the function returned) invalid_argument naming the pattern where it is wrong, takes too long, or is not
 *   translated: back-references, conditionals, atomic groups, possessive repeats, flags other than i, s, m, u and a at its start
 */
export function nameMatcher(names: string[], limitMs = 2000): MatchNames {
  const context = createContext({ names });
  let leftMs = limitMs;
  return (pattern, source) => {
    const invalid = (problem: string, cause?: unknown) => {
      const message = `${source}: pattern ${JSON.stringify(pattern.slice(0, 200))} ${problem}`;
      return new DomainError('invalid_argument', message, { cause });
    };
    if (pattern.length > longestPattern)
      throw invalid(`has ${pattern.length} characters, ${longestPattern} are supported`);
    const began = performance.now();
    try {
      const [, flags = '', body = ''] = /^(?:\(\?([aimsu]+)\))?([^]*)$/.exec(pattern)!;
      context['expression'] = new RegExp(`^(?:${translated(body)})$`, `u${/i/.test(flags) ? 'i' : ''}`);
      // Nothing within this thread could stop an expression that tries its choices for ages.
      const timeout = Math.max(1, Math.ceil(leftMs));
      const found = runInContext('names.filter((name) => expression.test(name))', context, { timeout }) as string[];
      return new Set(found);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      throw code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
        ? invalid(`takes longer than ${limitMs} ms to match: write it simpler, or list the modules`, error)
        : invalid(`cannot be used: ${message.replace(/^Invalid regular expression: .*: /s, '')}`, error);
    } finally {
      leftMs -= performance.now() - began;
    }
  };
}

/** Escapes, classes, what begins a group, repeats and stray braces; everything else is written alike. */
const parts =
  /\\[^]|\[(\^|(?!\^))(\]|(?!\]))((?:\\[^]|[^\]\\])*)\]|\(\?#[^)]*\)|\(\?(?:P<\w+>|<?[=!]|[^])|\{(\d*)(,?)(\d*)\}|[{}\]]/g;

function translated(pattern: string): string {
  return pattern.replace(parts, (part, negation, bracket, rest, least, comma, most) => {
    if (part === '\\A') return '^';
    if (part === '\\Z') return '$';
    if (part.startsWith('\\')) return escaped(part);
    if (part.startsWith('[')) return `[${negation}${bracket && '\\]'}${rest.replace(/\\[^-]/g, escaped)}]`;
    if (part.startsWith('(?#')) return '';
    if (part.startsWith('(?P<')) return part.replace('P', '');
    if (/^\(\?(:|<?[=!])$/.test(part)) return part;
    if (part.startsWith('(?')) throw new Error(`has a group that begins with ${part}, which is not supported here`);
    if (part.length === 1 || (least === '' && comma === '')) return part.replace(/[{}\]]/g, '\\$&');
    return `{${least || 0}${comma}${most}}`;
  });
}

/** An escape outside a class, or one within a class that is not of a hyphen. */
function escaped(escape: string): string {
  const letter = escape.slice(1);
  if (letter === 'a') return '\\x07';
  if (/[1-9cpPk]/.test(letter)) throw new Error(`has ${escape}, which is not supported here`);
  // What means nothing must not be escaped there.
  return /[a-zA-Z0-9^$\\.*+?()[\]{}|/]/.test(letter) ? escape : letter;
}
