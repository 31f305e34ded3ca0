import type { PlotOptions } from '@observablehq/plot' with { 'resolution-mode': 'import' };
import { escapeHtml, trusted, type SafeHtml } from './html';

type Plot = typeof import('@observablehq/plot', { with: { 'resolution-mode': 'import' } });

/** Observable Plot with a document to draw into. */
export interface Drawing {
  Plot: Plot;
  /**
   * An SVG picture.
   *
   * @param label what a screen reader says in its place
   */
  draw(label: string, options: PlotOptions): SafeHtml;
}

/** Width of every chart in its own units, which are pixels on a narrow screen. */
export const chartWidth = 400;

/** Loads the drawing library; both packages are ES modules, which CommonJS reaches by `import()` alone. */
export async function createDrawing(): Promise<Drawing> {
  const [Plot, { parseHTML }] = await Promise.all([import('@observablehq/plot'), import('linkedom')]);
  const { document } = parseHTML('<html></html>');
  return {
    Plot,
    draw: (label, options) => {
      const plot = (more: PlotOptions) =>
        Plot.plot({
          ...{ document, width: chartWidth, marginTop: 32, marginLeft: 44, marginBottom: 40 },
          ...options,
          ...more,
        }) as unknown as SvgElement;
      const svg = plot({});
      const needed = tickRoom + letterWidth * longestTick(svg);
      const { marginLeft = 44 } = options;
      return trusted(simplify(needed > marginLeft ? plot({ marginLeft: needed }) : svg, label));
    },
  };
}

// Of a bold label at full size.
const mostLetters = 52;
// Of labels of ticks: as they were measured, and with room for the tick.
const [letterWidth, tickRoom] = [7, 12];

/** The words over a method's row, in the facet `name`, on a ground that keeps them readable. */
export function rowLabel(Plot: Drawing['Plot'], name: string, words: string) {
  return Plot.text([name], {
    fy: () => name,
    text: () => words,
    frameAnchor: 'top-left',
    dx: 4,
    fontWeight: 600,
    // Long names become smaller, so that they end within the chart.
    fontSize: Math.min(12, (12 * mostLetters) / words.length),
    stroke: 'var(--paper)',
    strokeWidth: 5,
    fill: 'currentColor',
    lineWidth: Infinity,
  });
}

/** The little of the DOM that is needed here; the workspace compiles without the types of a browser. */
interface SvgElement {
  readonly outerHTML: string;
  readonly textContent: string | null;
  remove(): void;
  getAttribute(name: string): string | null;
  setAttribute(name: string, value: string): void;
  removeAttribute(name: string): void;
  querySelectorAll(selector: string): Iterable<SvgElement>;
}

/** Letters of the longest label of the vertical axis. */
function longestTick(svg: SvgElement): number {
  const labels = [...svg.querySelectorAll('[aria-label="y-axis tick label"] text')];
  return Math.max(0, ...labels.map(({ textContent }) => textContent?.length ?? 0));
}

/** One picture to a screen reader, without Plot's own style, and with coordinates to a hundredth. */
function simplify(svg: SvgElement, label: string): string {
  for (const style of svg.querySelectorAll('style')) style.remove();
  for (const element of svg.querySelectorAll('*')) {
    for (const name of ['aria-label', 'aria-hidden', 'class']) element.removeAttribute(name);
    for (const name of ['d', 'transform', 'x', 'y', 'x1', 'x2', 'y1', 'y2', 'cx', 'cy', 'width', 'height']) {
      const value = element.getAttribute(name);
      if (value)
        element.setAttribute(
          name,
          value.replace(/-?\d+\.\d{3,}(e-\d+)?/g, (digits) => `${round(digits)}`),
        );
    }
  }
  for (const name of ['class', 'width', 'height']) svg.removeAttribute(name);
  svg.setAttribute('font-size', '12');
  // The serialiser leaves < and > in attributes, which a browser forgives in a page but not in an SVG file.
  const start = `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${escapeHtml(label)}"`;
  return svg.outerHTML.replace('<svg', () => start);
}

function round(digits: string): number {
  return Math.round(Number(digits) * 100) / 100;
}
