// Okabe and Ito's colours, which stay apart for every kind of colour blindness; on dark ground the lighter of them come first.
const light = ['#d55e00', '#0072b2', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#000000'];
const dark = ['#e69f00', '#56b4e9', '#009e73', '#cc79a7', '#f0e442', '#d55e00', '#ffffff'];
const dashes = ['none', '7 3', '2 3', '10 3 2 3'];
// Plot's names, and the same shapes in a legend's field of 30 by 12.
const symbols = [
  { name: 'circle', path: 'M11,6a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z' },
  { name: 'triangle', path: 'M15,1l5,9h-10Z' },
  { name: 'square', path: 'M11,2h8v8h-8Z' },
  { name: 'diamond', path: 'M15,0.5l4.5,5.5l-4.5,5.5l-4.5,-5.5Z' },
] as const;

/** How the runs of a method look; never told apart by colour alone. */
export interface MethodStyle {
  color: string;
  /** SVG dash pattern. */
  dash: string;
  symbol: (typeof symbols)[number]['name'];
  /** The symbol as SVG path in a field of 30 by 12. */
  symbolPath: string;
}

/** The look of the i-th method of a report. */
export function methodStyle(i: number): MethodStyle {
  const { name, path } = symbols[i % symbols.length] as (typeof symbols)[number];
  const dash = dashes[i % dashes.length] as string;
  return { color: `var(--series-${i % light.length})`, dash, symbol: name, symbolPath: path };
}

/** The CSS variables of every colour, light or dark as the reader's system is. */
export function paletteCss(selector: string): string {
  const series = (colors: string[]) => colors.map((color, i) => `--series-${i}:${color}`).join(';');
  return (
    `${selector}{color-scheme:light dark;--paper:#ffffff;--panel:#f6f7f8;--ink:#1b1f23;--muted:#545d66;--line:#d5d9dd;` +
    `${series(light)}}\n@media screen and (prefers-color-scheme:dark){${selector}{--paper:#14171a;--panel:#1d2125;--ink:#e6e9ec;` +
    `--muted:#a3adb7;--line:#3a4148;${series(dark)}}}`
  );
}
