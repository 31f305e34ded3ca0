import type { DisagreementScores, Text } from './disagreement-charts';
import { html, type SafeHtml } from './html';
import { extent, numberFormat, type NumberFormat } from './numbers';

const shown = 3;

/** The texts on which the members are farthest apart, and those on which they agree, with all scores; nothing without texts. */
export function disagreementTexts({ texts, widest = [], narrowest = [] }: DisagreementScores): SafeHtml | false {
  const byId = new Map(texts.map((text) => [text.id, text]));
  const given = (ids: readonly Text['id'][]) =>
    ids
      .flatMap((id) => byId.get(id) ?? [])
      .filter(({ response }) => response !== undefined)
      .slice(0, shown);
  const lists = [
    { title: 'Farthest apart', texts: given(widest) },
    { title: 'Most agreed upon', texts: given(narrowest) },
  ].filter((list) => list.texts.length > 0);
  if (lists.length === 0) return false;
  const scale = extent(lists.flatMap((list) => list.texts.flatMap(({ scores }) => scores)));
  const format = numberFormat(lists.flatMap((list) => list.texts.map(({ range }) => range)));
  return html`<div class="samples">
    ${lists.map(
      ({ title, texts: own }) =>
        html`<section>
          <h3>${title}</h3>
          <ul>
            ${own.map((text) => textMarkup(text, scale, format))}
          </ul>
        </section>`,
    )}
  </div> `;
}

function textMarkup(
  { prompt, response, scores, range }: Text,
  [low, high]: readonly [number, number],
  { fixed, signed }: NumberFormat,
): SafeHtml {
  const at = (score: number) => (5 + (290 * (score - low)) / (high - low || 1)).toFixed(1);
  const [least, most] = extent(scores);
  const label = `Scores ${scores.map((score) => signed(score)).join(', ')}`;
  return html`<li>
    ${prompt !== undefined && html`<p class="prompt">${prompt}</p>`}
    <p class="response">${response}</p>
    <svg class="strip" viewBox="0 0 300 14" role="img" aria-label="${label}">
      <path d="M5,7H295" stroke="var(--line)" stroke-width="1" />
      <path d="M${at(least)},7H${at(most)}" stroke="currentColor" stroke-width="1.5" />
      ${scores.map((score) => html`<circle cx="${at(score)}" cy="7" r="4" fill="var(--series-1)" fill-opacity="0.7" />`)}
    </svg>
    <p class="muted">
      <small>${scores.length} scores from ${signed(least)} to ${signed(most)}, ${fixed(range)} apart</small>
    </p>
  </li>`;
}
