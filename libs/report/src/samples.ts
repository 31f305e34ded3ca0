import type { RiskReport } from '@surefoot/risk';
import { html, type SafeHtml } from './html';
import { reportFormats } from './method-series';
import { extent, numberFormat, type NumberFormat } from './numbers';

/** Responses of one run before and after training. */
export interface RunSamples {
  /** Such as `Best run`. */
  title: string;
  method: string;
  block: string;
  run: number;
  /** Gain of the whole run on the primary measure. */
  gain: number;
  responses: readonly {
    prompt: string;
    /** By the start policy; `value` on the primary measure. */
    before: { text: string; value?: number };
    /** By the final policy on the same prompt and sampling seed. */
    after: { text: string; value?: number };
  }[];
}

/** Prompts with the response before and after, a block a run. */
export function samplesMarkup(samples: readonly RunSamples[], report: RiskReport): SafeHtml {
  const values = samples.flatMap(({ responses }) =>
    responses.flatMap(({ before, after }) => [before.value, after.value]),
  );
  const [low, high] = extent(values.filter((value) => value !== undefined));
  const formats = { gain: reportFormats(report).value, response: numberFormat([high - low]) };
  return html`<div class="samples">${samples.map((each) => runMarkup(each, formats))}</div>`;
}

function runMarkup(
  { title, method, block, run, gain, responses }: RunSamples,
  formats: Record<'gain' | 'response', NumberFormat>,
): SafeHtml {
  const valueMarkup = (value: number | undefined) =>
    value !== undefined && html`<span class="value">${formats.response.fixed(value)}</span>`;
  return html`<section>
    <h3>${title}: ${method}, ${block}, run ${run} <small>gain ${formats.gain.signed(gain)}</small></h3>
    <ul>
      ${responses.map(
        ({ prompt, before, after }) =>
          html`<li>
            <p class="prompt">${prompt}</p>
            <dl>
              <div>
                <dt>before ${valueMarkup(before.value)}</dt>
                <dd>${before.text}</dd>
              </div>
              <div>
                <dt>after ${valueMarkup(after.value)}</dt>
                <dd>${after.text}</dd>
              </div>
            </dl>
          </li>`,
      )}
    </ul>
  </section> `;
}
