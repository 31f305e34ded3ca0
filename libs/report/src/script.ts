import { createHash } from 'node:crypto';
import { trusted } from './html';

/**
 * What the page can do besides being read: headers that sort their table, and the values of marks under the pointer or by arrow
 * keys. Everything that it offers it puts there itself, so that a page whose script does not run has no button without effect.
 */
const pageScript = `'use strict';
const make = (name, properties) => Object.assign(document.createElement(name), properties);

for (const table of document.querySelectorAll('table')) {
  const [body] = table.tBodies;
  if (body.rows.length < 2) continue;
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    const button = make('button', { type: 'button' });
    button.append(...header.childNodes);
    header.append(button);
    const keyOf = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
    button.addEventListener('click', () => {
      const order = header.getAttribute('aria-sort') === 'ascending' ? 'descending' : 'ascending';
      for (const each of headers) each.removeAttribute('aria-sort');
      header.setAttribute('aria-sort', order);
      const sign = order === 'ascending' ? 1 : -1;
      const keyed = [...body.rows].map((row) => [keyOf(row), row]);
      keyed.sort(([a], [b]) =>
        a === '' || b === '' ? (a === '') - (b === '') :
        sign * (a - b || (Number.isNaN(a - b) ? a.localeCompare(b, 'en', { numeric: true }) : 0)));
      body.append(...keyed.map(([, row]) => row));
    });
  });
}

const tip = make('p', { className: 'tip', hidden: true });
tip.setAttribute('role', 'status');
document.querySelector('main').append(tip);
let marked;
const hide = () => {
  marked?.classList.remove('marked');
  marked = undefined;
  tip.hidden = true;
};
const show = (mark) => {
  if (mark === marked) return;
  hide();
  marked = mark;
  mark.classList.add('marked');
  tip.textContent = mark.dataset.tip;
  tip.hidden = false;
  const at = mark.getBoundingClientRect();
  const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
  const top = at.top > tip.offsetHeight + 12 ? at.top - tip.offsetHeight - 8 : at.bottom + 8;
  tip.style.left = Math.max(8, Math.min(room, at.left + at.width / 2 - tip.offsetWidth / 2)) + 'px';
  tip.style.top = top + scrollY + 'px';
};
const near = [[0, 0], [0, 4], [0, -4], [4, 0], [-4, 0], [0, 8], [0, -8], [8, 0], [-8, 0]];
for (const picture of document.querySelectorAll('figure > svg')) {
  const titles = [...picture.querySelectorAll('title')];
  if (titles.length === 0) continue;
  const marks = titles.map((title) => {
    const mark = title.parentNode;
    mark.dataset.tip = title.textContent;
    title.remove();
    return mark;
  });
  const name = picture.closest('figure').querySelector('h3').textContent;
  const chart = make('div', { className: 'chart', tabIndex: 0 });
  chart.setAttribute('role', 'group');
  chart.setAttribute('aria-label', name + ': ' + marks.length + ' values, one by one with the arrow keys');
  picture.replaceWith(chart);
  chart.append(picture);
  let index = -1;
  chart.addEventListener('pointermove', ({ clientX, clientY }) => {
    for (const [x, y] of near) {
      const mark = document.elementFromPoint(clientX + x, clientY + y)?.closest('[data-tip]');
      if (mark && chart.contains(mark)) return show(mark);
    }
    hide();
  });
  chart.addEventListener('pointerleave', hide);
  chart.addEventListener('blur', hide);
  chart.addEventListener('keydown', (event) => {
    const last = marks.length - 1;
    const to = {
      ArrowRight: Math.min(last, index + 1), ArrowDown: Math.min(last, index + 1),
      ArrowLeft: Math.max(0, index - 1), ArrowUp: Math.max(0, index - 1), Home: 0, End: last,
    }[event.key];
    if (event.key === 'Escape') hide();
    if (to === undefined) return;
    event.preventDefault();
    index = to;
    marks[index].scrollIntoView({ block: 'nearest' });
    show(marks[index]);
  });
}
addEventListener('keydown', ({ key }) => key === 'Escape' && hide());

let closed = [];
addEventListener('beforeprint', () => {
  closed = [...document.querySelectorAll('details:not([open])')];
  for (const each of closed) each.open = true;
});
addEventListener('afterprint', () => {
  for (const each of closed) each.open = false;
});
`;

/** The script in its element, which holds nothing else: its digest is the one that the policy names. */
export const scriptElement = trusted(`<script>${pageScript}</script>`);

/** Lets the page run this script and no other, and load nothing. */
export const contentPolicy = `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${createHash('sha256').update(pageScript).digest('base64')}'`;
