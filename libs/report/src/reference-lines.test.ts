// A picture may draw outside its frame, so that a line which lies outside cuts through what is beside it.
import { expect, test } from '@jest/globals';
import { riskReport } from '@surefoot/risk';
import { parseHTML } from 'linkedom';
import { renderReport } from './index';
import { exampleRuns } from './testing';

/** The figures of five pairs whose gains are all larger by `shift`. */
async function figuresOf(shift: number) {
  const runs = exampleRuns(5).map((run) =>
    run.status === 'completed' ? { ...run, final: { ...run.final, gold: run.final.gold! + shift } } : run,
  );
  const report = riskReport(runs, { replicates: 50 });
  const { document } = parseHTML(await renderReport({ title: 'example', report, runs }));
  return [...document.querySelectorAll('figure')].map((figure) => ({
    title: figure.querySelector('h3')!.textContent!,
    caption: figure.querySelector('figcaption')!.textContent!,
    svg: figure.querySelector('svg[role]')!,
  }));
}

test.each([-3, -0.3, 0, 3])('gains moved by %d: every line lies within its picture', async (shift) => {
  for (const { title, svg } of await figuresOf(shift)) {
    const [, , width, height] = svg.getAttribute('viewBox')!.split(' ').map(Number) as [number, number, number, number];
    const isWithin = (value: string | null, end: number) => Number(value) >= 0 && Number(value) <= end;
    const outside = [...svg.querySelectorAll('line')].filter(
      (line) =>
        !['x1', 'x2'].every((name) => isWithin(line.getAttribute(name), width)) ||
        !['y1', 'y2'].every((name) => isWithin(line.getAttribute(name), height)),
    );
    expect({ title, outside: outside.map(({ outerHTML }) => outerHTML) }).toEqual({ title, outside: [] });
  }
});

test.each([
  [3, 'No mark lies left of the dashed 0', 'no run of these pairs ended worse than it began'],
  [-3, 'Marks left of the dashed 0', '0 of 5 pairs ended worse than they began with vanilla alone (above on the left), 0 with variance-weighted-kl alone (below on the right), 5 with both'], // prettier-ignore
])('gains moved by %d: captions speak of the losses that there are', async (shift, ofGains, ofPairs) => {
  const figures = await figuresOf(shift);
  expect(figures.find(({ title }) => title === 'Final gains')!.caption).toContain(ofGains);
  expect(figures.find(({ title }) => title.endsWith('pair by pair'))!.caption).toContain(ofPairs);
});
