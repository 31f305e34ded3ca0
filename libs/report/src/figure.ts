import { html, type SafeHtml } from './html';
import type { MethodSeries } from './method-series';

/** A chart with its words. */
export interface Figure {
  title: string;
  picture: SafeHtml;
  /** What to see in it, for somebody who has never seen such a chart. */
  caption: string;
  /** Needed where the marks do not have their names beside them. */
  legend?: readonly LegendEntry[];
}

interface LegendEntry {
  name: string;
  /** What the marks look like, in a field of 30 by 12. */
  sample: SafeHtml;
}

/** Figures side by side where there is room, below one another where there is not. */
export function figureGrid(figures: readonly Figure[]): SafeHtml {
  return html`<div class="figures">${figures.map(figureMarkup)}</div>`;
}

function figureMarkup({ title, picture, caption, legend = [] }: Figure): SafeHtml {
  return html`<figure>
    <h3>${title}</h3>
    ${
      legend.length > 0 &&
      html`<ul class="legend">
        ${legend.map(legendEntry)}
      </ul>`
    }
    ${picture}
    <figcaption>${caption}</figcaption>
  </figure> `;
}

function legendEntry({ name, sample }: LegendEntry): SafeHtml {
  return html`<li><svg viewBox="0 0 30 12" width="30" height="12" aria-hidden="true">${sample}</svg> ${name}</li> `;
}

/** A line as a method's lines look. */
export function lineLegend({ name, style }: MethodSeries): LegendEntry {
  const sample = html`<path d="M0,6H30" stroke="${style.color}" stroke-width="3" stroke-dasharray="${style.dash}" />`;
  return { name, sample };
}

/** A mark as a method's marks look. */
export function symbolLegend({ name, style }: MethodSeries): LegendEntry {
  return { name, sample: html`<path d="${style.symbolPath}" fill="${style.color}" />` };
}
