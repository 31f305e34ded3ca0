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
.verdicts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(29rem,100%),1fr));gap:1rem}
.verdict{background:var(--panel);border-left:5px solid var(--ink);border-radius:0 8px 8px 0;padding:1rem 1.2rem}
.verdict p{max-width:none;margin:.3rem 0 0}
.verdict .headline{font-size:1.3rem;line-height:1.35;font-weight:650;margin:0;overflow-wrap:anywhere}
.verdict:not(:only-child) .headline{font-size:1.1rem}
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
figure>svg,.chart>svg{display:block;width:100%;height:auto;overflow:visible;font-family:inherit}
figcaption{font-size:.9rem;line-height:1.45;margin-top:.5rem}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;margin:0 0 .4rem;padding:0;list-style:none;font-size:.9rem}
.legend svg{vertical-align:middle}
.scroll{overflow-x:auto;margin:1rem 0}
.chart{border-radius:4px}
:focus-visible{outline:2px solid var(--series-1);outline-offset:2px}
[data-tip]{cursor:default}
.marked{stroke:var(--ink)!important;stroke-width:2.5px!important;stroke-opacity:1!important}
.tip{position:absolute;z-index:1;margin:0;max-width:min(27rem,calc(100vw - 1rem));padding:.3rem .6rem;border-radius:6px;background:var(--ink);color:var(--paper);font-size:.85rem;line-height:1.35;pointer-events:none;overflow-wrap:anywhere}
nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1.4rem;list-style:none;margin:1.5rem 0 0;padding:0;font-size:.9rem}
nav a{display:inline-block;padding:.15rem 0;color:var(--muted)}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
caption{text-align:left;padding-bottom:.4rem}
caption span{display:inline-block;position:sticky;left:0;max-width:calc(100vw - 2rem)}
th,td{padding:.4rem .7rem .4rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
thead th{font-weight:600;vertical-align:bottom;border-bottom:2px solid var(--line)}
th button{all:unset;position:relative;cursor:pointer;display:inline-block;min-height:1.5rem;padding-right:1.1em}
th button:focus-visible{outline:2px solid var(--series-1);outline-offset:2px}
th button::after{content:"\\2195";content:"\\2195"/"";position:absolute;right:0;bottom:0;color:var(--muted)}
th[aria-sort=ascending] button::after{content:"\\2191";content:"\\2191"/"";color:inherit}
th[aria-sort=descending] button::after{content:"\\2193";content:"\\2193"/"";color:inherit}
tbody th{font-weight:600;min-width:8.5rem}
td{white-space:nowrap}
td small{display:block}
.samples{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(26rem,100%),1fr));gap:2rem}
.samples ul{list-style:none;margin:0;padding:0}
.samples li{border:1px solid var(--line);border-radius:8px;padding:.6rem .9rem;margin:0 0 .7rem;overflow-wrap:anywhere}
.samples .prompt{font-weight:600;margin:0;white-space:pre-wrap}
.samples dl{margin:.3rem 0 0;display:grid;gap:.3rem}
.samples dt{color:var(--muted);font-size:.85rem}
.samples dd{margin:0;white-space:pre-wrap}
.samples .response{margin:.3rem 0;white-space:pre-wrap}
.strip{display:block;width:100%;max-width:22rem}
.figures~.figures,.figures~h3,.figures~.samples,.figures~.scroll{margin-top:2rem}
.terms{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(22rem,100%),1fr));gap:1rem 2.5rem;margin:.5rem 0 0}
.terms dt{font-weight:600}
.terms dd{margin:0}
summary{cursor:pointer;font-weight:600}
pre{background:var(--panel);border-radius:8px;padding:1rem;overflow-x:auto;font-size:.85rem;line-height:1.45}
footer{margin-top:3rem;color:var(--muted);font-size:.85rem}
@media print{
@page{margin:14mm}
html{font-size:9.5pt}
body{font-size:1rem}
.page{max-width:none;padding:0}
nav,.tip{display:none}
h2{margin-top:1.6rem}
h2,h3,h2+p,caption,summary,thead,thead tr{break-after:avoid}
tbody tr:first-child{break-before:avoid}
figure,.verdict,.cards>li,.samples li,tr,.terms div,p{break-inside:avoid}
.figures{grid-template-columns:1fr 1fr;gap:1.2rem 1.6rem}
.scroll,pre{overflow:visible}
pre{white-space:pre-wrap;overflow-wrap:anywhere;columns:2;font-size:6.5pt;line-height:1.35;padding:0}
table{font-size:7.5pt}
th,td{padding:.25rem .5rem .25rem 0}
tbody th{min-width:6.5rem;padding-right:1rem}
th button{display:contents}
th button::after{content:none}
details::details-content{content-visibility:visible}
}`;
