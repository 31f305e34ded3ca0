import { PassThrough } from 'node:stream';
import { expect, test } from '@jest/globals';
import { createTerminal } from './terminal';

/** A terminal 120 columns wide, as far as a bar looks at it. */
function screen() {
  let written = '';
  const stream = new PassThrough().on('data', (data: Buffer) => (written += data.toString()));
  const tty = {
    isTTY: true,
    columns: 120,
    rows: 30,
    cursorTo: () => true,
    clearLine: () => true,
    moveCursor: () => true,
  };
  return { stream: Object.assign(stream, tty) as unknown as NodeJS.WriteStream, written: () => written };
}

test('a note stands on a line of its own above a bar, and plain once the bar has gone', () => {
  const { stream, written } = screen();
  const terminal = createTerminal(stream, stream);
  const progress = terminal.progress('runs', 4, 'runs');
  progress.advance(1);
  terminal.note('one run failed');
  expect(written()).toContain('\r\u001b[Kone run failed\n');
  expect(written().split('one run failed\n')[1]).toContain('runs');
  progress.finish();
  terminal.note('done');
  expect(written().endsWith('\u001b[Kdone\n')).toBe(false);
  expect(written().endsWith('done\n')).toBe(true);
});
