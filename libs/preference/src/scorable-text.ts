/** Text as every scorer reads it: `?` for U+FFFD and for half a character, which a policy may write and no text of a file means. */
export function scorableText(text: string): string {
  return text.replace(/[\p{Surrogate}\uFFFD]/gu, '?');
}
