import { paletteCss } from './palette';

/** The style of the page: one column on a phone, two on a desk, ink on paper when printed. */
export const pageStyle = `${paletteCss(':root')}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
.page{max-width:68rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.75rem;line-height:1.2;margin:.2rem 0 1.2rem;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:3rem 0 .4rem;padding-top:1rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:0 0 .5rem;overflow-wrap:anywhere}
p{max-width:46rem;margin:.4rem 0}
a{color:inherit}
small,.muted,figcaption,caption{color:var(--muted)}
.eyebrow{margin:0;color:var(--muted);font-size:.9rem;letter-spacing:.04em;text-transform:uppercase}
.verdict{background:var(--panel);border-left:5px solid var(--ink);border-radius:0 8px 8px 0;padding:1rem 1.2rem;margin:0 0 1rem}
.verdict p{max-width:none;margin:.3rem 0 0}
.verdict .headline{font-size:1.3rem;line-height:1.35;font-weight:650;margin:0;overflow-wrap:anywhere}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr));gap:1rem;margin:1rem 0;padding:0;list-style:none}
.cards>li{border:1px solid var(--line);border-top:4px solid var(--card,var(--line));border-radius:8px;padding:.8rem 1rem}
.cards dl{display:grid;grid-template-columns:1fr auto;gap:.25rem .8rem;margin:0}
.cards dt{color:var(--muted)}
.cards dd{margin:0;text-align:right;font-variant-numeric:tabular-nums}
.cards dd b{font-size:1.15rem}
.cards dd small{display:block;line-height:1.2}
.warnings{border:1px solid var(--line);border-radius:8px;padding:.8rem 1.2rem;margin:1rem 0}
.warnings h2{all:unset;font-weight:650}
.warnings ul{margin:.4rem 0 0;padding-left:1.2rem;overflow-wrap:anywhere}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(22rem,100%),1fr));gap:2rem 2.5rem;margin-top:1rem}
figure{margin:0;min-width:0;max-width:34rem}
figure>svg{display:block;width:100%;height:auto;overflow:visible;font-family:inherit}
figcaption{font-size:.9rem;line-height:1.45;margin-top:.5rem}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin:0 0 .4rem;padding:0;list-style:none;font-size:.9rem}
.legend svg{vertical-align:middle}
.scroll{overflow-x:auto;margin:1rem 0}
.scroll:focus-visible,summary:focus-visible{outline:2px solid var(--series-1);outline-offset:2px}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;padding-bottom:.4rem}
th,td{padding:.4rem .8rem .4rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
thead th{font-weight:600;border-bottom:2px solid var(--line)}
tbody th{font-weight:600}
td{white-space:nowrap}
td small{display:block}
.samples{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(26rem,100%),1fr));gap:2rem}
.samples ul{list-style:none;margin:0;padding:0}
.samples li{border:1px solid var(--line);border-radius:8px;padding:.6rem .9rem;margin:0 0 .7rem;overflow-wrap:anywhere}
.samples .prompt{font-weight:600;margin:0;white-space:pre-wrap}
.samples dl{margin:.3rem 0 0;display:grid;gap:.3rem}
.samples dt{color:var(--muted);font-size:.85rem}
.samples dd{margin:0;white-space:pre-wrap}
summary{cursor:pointer;font-weight:600}
pre{background:var(--panel);border-radius:8px;padding:1rem;overflow-x:auto;font-size:.85rem;line-height:1.45}
footer{margin-top:3rem;color:var(--muted);font-size:.85rem}
@media print{.page{max-width:none}figure{break-inside:avoid}}`;
