/** No file that is read here goes deeper than a tenth of this. */
const maxDepth = 200;

/**
 * `JSON.parse` for text that somebody else wrote. A few megabytes of brackets take gigabytes to parse, and what comes out
 * overflows the stack of whoever walks through it.
 *
 * @throws Error saying what is wrong, and no more of the text than a line holds
 */
export function parseJson(text: string): unknown {
  refuseDeep(text);
  return JSON.parse(text);
}

function refuseDeep(text: string): void {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === quote) i = endOfString(text, i);
    else if (code === openBracket || code === openBrace) {
      if (++depth > maxDepth) throw new Error(`it is nested more than ${maxDepth} deep`);
    } else if (code === closeBracket || code === closeBrace) depth -= 1;
  }
}

const [quote, backslash, openBracket, closeBracket, openBrace, closeBrace] = [0x22, 0x5c, 0x5b, 0x5d, 0x7b, 0x7d];

function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end >= 0 && isEscaped(text, end)) end = text.indexOf('"', end + 1);
  return end < 0 ? text.length : end;
}

function isEscaped(text: string, at: number): boolean {
  let before = at;
  while (text.charCodeAt(before - 1) === backslash) before -= 1;
  return (at - before) % 2 === 1;
}
