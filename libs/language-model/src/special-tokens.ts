import type { ChatMessage } from './chat-template';

/** Messages in which no special token can be read, and the way back to their text. */
export interface GuardedMessages {
  messages: ChatMessage[];
  restore(text: string): string;
}

/**
 * Breaks up special tokens that are spelled inside messages by a mark that no message holds, so that after rendering only the
 * template's own are left to be read as tokens.
 *
 * @returns undefined where no message spells a special token
 */
export function guardSpecialTokens(messages: ChatMessage[], specialTokens: string[]): GuardedMessages | undefined {
  if (specialTokens.length === 0) return undefined;
  const special = specialPattern(specialTokens);
  if (!messages.some(({ role, content }) => special.test(role) || special.test(content))) return undefined;
  const mark = unusedCharacter(messages.map(({ role, content }) => role + content).join(''));
  const guard = (text: string) => text.replace(new RegExp(special, 'g'), (token) => token[0] + mark + token.slice(1));
  return {
    messages: messages.map(({ role, content }) => ({ role: guard(role), content: guard(content) })),
    restore: (text) => text.replaceAll(mark, ''),
  };
}

/** A text cut before and after each special token in it. */
export function splitAtSpecialTokens(text: string, specialTokens: string[]): { text: string; isSpecial: boolean }[] {
  return text
    .split(new RegExp(`(${specialPattern(specialTokens).source})`))
    .map((piece, index) => ({ text: piece, isSpecial: index % 2 === 1 }))
    .filter((piece) => piece.text !== '');
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
