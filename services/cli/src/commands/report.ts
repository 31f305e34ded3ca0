import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readText } from '@surefoot/files';
import { defineCommand, type Result } from '../command';
import { runTable } from '../experiment/run-table';
import { writeReport } from '../experiment/report';
import { option, output, texts } from '../option';

export const report = defineCommand({
  name: 'report',
  summary: 'recomputes report.json and report.html from the files of experiments',
  example: 'report surefoot-out/uneven',
  arguments: { dirs: option('<dirs...>', 'experiment folders; several are reported together', texts) },
  options: {
    out: option(
      '<file>',
      'the HTML file, report.json beside it; default report.html in the (first) folder; - for the page, with --json the document, on stdout and no file',
      output.optional(),
    ),
  },
  async run({ dirs, out }) {
    if (out === '-') return printedReport(dirs);
    const { report: document, html, verdict } = await writeReport(dirs, out);
    return { document, text: `${runTable(document)}\n\n${verdict}\nreport: ${html}` };
  },
});

async function printedReport(dirs: string[]): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), 'surefoot-report-'));
  try {
    const { report: document, html } = await writeReport(dirs, join(folder, 'report.html'));
    return { document, text: await readText(html) };
  } finally {
    await rm(folder, { recursive: true });
  }
}
