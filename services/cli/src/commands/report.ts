import { defineCommand } from '../command';
import { runTable } from '../experiment/run-table';
import { writeReport } from '../experiment/report';
import { option, text, texts } from '../option';

export const report = defineCommand({
  name: 'report',
  summary: 'recomputes report.json and report.html from the files of experiments',
  example: 'report surefoot-out/uneven',
  arguments: { dirs: option('<dirs...>', 'experiment folders; several are reported together', texts) },
  options: { out: option('<file>', 'the HTML file; default report.html in the (first) folder', text.optional()) },
  async run({ dirs, out }) {
    const { report: document, html, verdict } = await writeReport(dirs, out);
    return { document, text: `${runTable(document)}\n\n${verdict}\nreport: ${html}` };
  },
});
