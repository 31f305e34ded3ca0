import { html, trusted, type SafeHtml } from './html';
import { contentPolicy, scriptElement } from './script';
import { pageStyle } from './style';

/** A part of a page under a heading of its own. */
export interface Section {
  heading: string;
  introduction: string;
  body: SafeHtml;
}

/** A page of one file that needs no network; its script may fail to run without loss of content. */
export function page(options: {
  /** What kind of page it is. */
  kind: string;
  title: string;
  /** Before the contents. */
  lead?: SafeHtml;
  sections: readonly Section[];
  footer: string;
}): string {
  const { kind, title, lead, sections, footer } = options;
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${contentPolicy}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title} – Surefoot ${kind}</title>
        <style>
          ${trusted(pageStyle)}
        </style>
      </head>
      <body>
        <div class="page">
          <header>
            <p class="eyebrow">Surefoot ${kind}</p>
            <h1>${title}</h1>
          </header>
          <main>
            ${lead}
            ${
              sections.length > 1 &&
              html`<nav aria-label="Contents">
                <ul>
                  ${sections.map(({ heading }) => html`<li><a href="#${anchor(heading)}">${heading}</a></li> `)}
                </ul>
              </nav>`
            }
            ${sections.map(sectionMarkup)}
          </main>
          <footer><p>${footer}</p></footer>
        </div>
        ${scriptElement}
      </body>
    </html> `.markup;
}

function sectionMarkup({ heading, introduction, body }: Section): SafeHtml {
  return html`<section>
    <h2 id="${anchor(heading)}">${heading}</h2>
    <p>${introduction}</p>
    ${body}
  </section> `;
}

const anchor = (heading: string) => heading.toLowerCase().replace(/[^a-z]+/g, '-');
