import type { Figure } from './figure';
import { paletteCss } from './palette';

/** An SVG file that opens on its own, light or dark as its reader's system is. */
export interface SvgFile {
  /** File name. */
  name: string;
  svg: string;
  caption: string;
}

/** A figure as a file of its own; its title and caption are the caller's to show. */
export function svgFile(name: string, { picture, caption }: Figure): SvgFile {
  const style = `<style>${paletteCss('svg')} svg{background:var(--paper);color:var(--ink)}</style>`;
  return { name, svg: picture.markup.replace('>', `>${style}`), caption };
}
