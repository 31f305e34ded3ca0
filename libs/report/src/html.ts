/** Markup that is safe to put into a page: made by `html`, or vouched for by `trusted`. */
export interface SafeHtml {
  readonly markup: string;
}

type Content = SafeHtml | string | number | null | undefined | false | readonly Content[];

/** A template of markup whose values are escaped, so that no text of a user can become an element or an attribute. */
export function html(parts: TemplateStringsArray, ...values: Content[]): SafeHtml {
  return { markup: parts.reduce((markup, part, i) => markup + render(values[i - 1]) + part) };
}

/** Markup from a source that escapes on its own, such as a serialised SVG. */
export function trusted(markup: string): SafeHtml {
  return { markup };
}

/** The five characters that have a meaning in HTML, as references. */
export function escapeHtml(text: string): string {
  const references: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (character) => references[character] as string);
}

function render(content: Content): string {
  if (content === null || content === undefined || content === false) return '';
  if (typeof content === 'string') return escapeHtml(content);
  if (typeof content === 'number') return String(content);
  return isList(content) ? content.map(render).join('') : content.markup;
}

// Array.isArray does not narrow readonly arrays.
function isList(content: SafeHtml | readonly Content[]): content is readonly Content[] {
  return Array.isArray(content);
}
