import type { ChatMessage } from './chat-template';

/** A part of a text: a special token, or what lies between two. */
export interface Piece {
  text: string;
  isSpecial: boolean;
}

/**
 * A rendered conversation, cut at the special tokens that the template has put there; one that a message spells is text.
 *
 * Such tokens are broken up, before rendering, by a mark that no message holds. A template may also put one together, of two
 * messages or in other letters: so it renders a second time with a mark after everything that could begin a special token,
 * and that rendering holds where the two have different special tokens.
 *
 * @param render the chat template
 */
export function renderApart(
  messages: ChatMessage[],
  specialTokens: SpecialToken[],
  render: (messages: ChatMessage[]) => string,
): Piece[] {
  if (specialTokens.length === 0) return [{ text: render(messages), isSpecial: false }];
  const contents = specialTokens.map(({ content }) => content);
  const all = messages.map(({ role, content }) => role + content).join('');
  const mark = unusedCharacter(all);
  const broken = (pattern: RegExp) => {
    const breakUp = (text: string) => text.replace(pattern, (token) => token[0] + mark + token.slice(1));
    const guarded = messages.map(({ role, content }) => ({ role: breakUp(role), content: breakUp(content) }));
    return splitAtSpecialTokens(render(guarded), specialTokens);
  };
  const restored = (pieces: Piece[]) => pieces.map((piece) => ({ ...piece, text: piece.text.replaceAll(mark, '') }));
  const spelled = broken(new RegExp(specialPattern(contents), 'g'));
  const firsts = specialPattern([...new Set(contents.map((token) => token[0]!))]);
  if (!firsts.test(all)) return restored(spelled);
  const anywhere = broken(new RegExp(firsts, 'g'));
  return restored(specialsOf(spelled) === specialsOf(anywhere) ? spelled : anywhere);
}

function specialsOf(pieces: Piece[]): string {
  return JSON.stringify(pieces.filter(({ isSpecial }) => isSpecial).map(({ text }) => text));
}

/**
 * A text cut before and after each special token in it. White space beside a token that takes it (`lstrip`, `rstrip`) is gone.
 */
function splitAtSpecialTokens(text: string, specialTokens: SpecialToken[]): Piece[] {
  const tokens = new Map(specialTokens.map((token) => [token.content, token]));
  const pieces = text.split(new RegExp(`(${specialPattern([...tokens.keys()]).source})`));
  return pieces
    .map((piece, index) => {
      if (index % 2 === 1) return { text: piece, isSpecial: true };
      const before = tokens.get(pieces[index - 1] ?? '')?.rstrip ? piece.trimStart() : piece;
      return { text: tokens.get(pieces[index + 1] ?? '')?.lstrip ? before.trimEnd() : before, isSpecial: false };
    })
    .filter((piece) => piece.text !== '');
}

/** What is to be known of a special token to cut a text at it. */
export interface SpecialToken {
  content: string;
  lstrip?: boolean;
  rstrip?: boolean;
}

/** A text cut within each special token that it spells, so that no piece spells one. */
export function cutSpecialTokens(text: string, specialTokens: string[]): string[] {
  const spelled = new RegExp(specialPattern(specialTokens), 'g');
  const pieces: string[] = [];
  let start = 0;
  for (const { 0: token, index } of text.matchAll(spelled)) {
    const end = index + String.fromCodePoint(token.codePointAt(0)!).length;
    pieces.push(text.slice(start, end));
    start = end;
  }
  return [...pieces, text.slice(start)].filter((piece) => piece !== '');
}

function specialPattern(specialTokens: string[]): RegExp {
  // The longest first: of two tokens that begin at one place the longer is meant.
  const longestFirst = [...specialTokens].sort((a, b) => b.length - a.length);
  return new RegExp(longestFirst.map((token) => token.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')).join('|'));
}

/** A character of the private use area, which templates and strip functions leave alone. */
function unusedCharacter(text: string): string {
  for (let code = 0xe000; ; code++) if (!text.includes(String.fromCharCode(code))) return String.fromCharCode(code);
}
