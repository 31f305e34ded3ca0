import { verdictTexts, type MethodSummary, type RiskReport } from '@surefoot/risk';
import { html, type SafeHtml } from './html';
import { reportFormats, type MethodSeries, type ReportFormats } from './method-series';
import { interval, numberFormat, percent } from './numbers';

/** What the experiment shows: verdicts, the figures of each method, and what to know before trusting them. */
export function overview(report: RiskReport, methods: readonly MethodSeries[]): SafeHtml {
  const formats = reportFormats(report);
  return html`<div class="verdicts">
      ${verdictTexts(report).map(
        ({ headline, evidence }) =>
          html`<div class="verdict">
            <p class="headline">${headline}</p>
            <p>${evidence}</p>
          </div> `,
      )}
    </div>
    ${report.warnings.length > 0 && warningList(report.warnings)}
    <section>
      <h2>What each method came to</h2>
      <p>${measureText(report)}</p>
      <ul class="cards">
        ${methods.map((method) => card(method, report.methods[method.name] as MethodSummary, formats))}
      </ul>
    </section> `;
}

function card(
  { name, style }: MethodSeries,
  { gain, worse, kl, failed }: MethodSummary,
  { value: { fixed, signed }, ...formats }: ReportFormats,
): SafeHtml {
  const figures: [name: string, value: string, uncertainty: string][] = [
    ['mean gain', signed(gain.mean), interval(gain.ci95, signed)],
    ['standard deviation', fixed(gain.sd), interval(gain.sdCi95, fixed)],
    ['ended worse', `${worse.count} of ${worse.n}`, interval(worse.ci95, percent)],
    ['worst run', signed(gain.min), ''],
    ['final KL', `${formats.kl.fixed(kl.mean)} nats`, failed > 0 ? `${failed} failed` : ''],
  ];
  return html`<li style="--card:${style.color}">
    <h3>${name}</h3>
    <dl>
      ${figures.map(
        ([term, value, uncertainty]) =>
          html`<dt>${term}</dt>
            <dd><b>${value}</b> <small>${uncertainty}</small></dd>`,
      )}
    </dl>
  </li> `;
}

function warningList(warnings: readonly string[]): SafeHtml {
  return html`<section class="warnings" aria-labelledby="warnings">
    <h2 id="warnings">Before trusting these figures</h2>
    <ul>
      ${warnings.map((warning) => html`<li>${warning}</li>`)}
    </ul>
  </section>`;
}

function measureText(report: RiskReport): string {
  const { measure, initial } = report;
  const { fixed } =
    initial.standardError === null ? reportFormats(report).value : numberFormat([initial.standardError]);
  const error =
    initial.standardError === null ? '' : ` ± ${fixed(initial.standardError)} (standard error, shared by all runs)`;
  const start = initial.mean === null ? '' : ` The start policy stands at ${fixed(initial.mean)}${error}.`;
  const brackets =
    'Brackets are 95 % intervals that take each run for itself: they are for these data sets and reward models, not for others.';
  return measure === 'gold'
    ? `Measured by the gold value of the task, which no reward model saw.${start} ${brackets}`
    : `Measured by the judge; there is no oracle.${start} ${brackets}`;
}
