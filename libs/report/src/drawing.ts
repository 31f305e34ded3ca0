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
      const fitted = roomForTicks(svg, options);
      return trusted(simplify(fitted ? plot(fitted) : svg, label));
    },
  };
}

// Of labels of ticks: as they were measured, and with room for the tick or the next label.
const [letterWidth, tickRoom] = [7, 12];
// Of a bold label over a row, at full size and at the smallest that is easily read.
const [mostLetters, mostSmallLetters] = [48, 60];

/** What must be another way for the labels of ticks to have room: a wider margin, or fewer ticks; nothing where they have it. */
function roomForTicks(svg: SvgElement, { marginLeft = 44, x }: PlotOptions): PlotOptions | undefined {
  const neededLeft = tickRoom + letterWidth * Math.max(0, ...lengthsOf(svg, 'y'));
  const left = Math.max(marginLeft, neededLeft);
  const across = lengthsOf(svg, 'x');
  const each = tickRoom + letterWidth * Math.max(0, ...across);
  const isCrowded = across.length * each > chartWidth - left && typeof x?.ticks === 'number';
  if (left === marginLeft && !isCrowded) return undefined;
  return { marginLeft: left, ...(isCrowded && { x: { ...x, ticks: Math.floor((chartWidth - left) / each / 1.5) } }) };
}

/** Letters of the labels of an axis. */
function lengthsOf(svg: SvgElement, axis: 'x' | 'y'): number[] {
  const labels = [...svg.querySelectorAll(`[aria-label="${axis}-axis tick label"] text`)];
  return labels.map(({ textContent }) => textContent?.length ?? 0);
}

/** A name with its middle left out where it is longer than `most` letters: beginnings are often alike. */
export function shortened(name: string, most = 32): string {
  if (name.length <= most) return name;
  const end = Math.floor((most - 1) / 2);
  return `${name.slice(0, most - 1 - end)}…${name.slice(name.length - end)}`;
}

/** The words over a method's row, in the facet `name`, on a ground that keeps them readable; they may begin with the name. */
export function rowLabel(Plot: Drawing['Plot'], name: string, words: string) {
  const rest = words.startsWith(name) ? words.slice(name.length) : words;
  const own = words.startsWith(name) ? shortened(name, Math.max(12, mostSmallLetters - rest.length)) : '';
  const text = own + rest;
  return Plot.text([name], {
    fy: () => name,
    text: () => text,
    frameAnchor: 'top-left',
    dx: 4,
    fontWeight: 600,
    fontSize: Math.min(12, (12 * mostLetters) / text.length),
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
