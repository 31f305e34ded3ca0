// The page in a real browser. What runs inside the page stands in strings: the workspace compiles without the types of a browser.
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { riskReport } from '@surefoot/risk';
import { source as axe } from 'axe-core';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import { renderDisagreement, renderReport } from './index';
import { exampleBenchmark, exampleDisagreement, exampleRuns, exampleSamples } from './testing';

const places = [process.env['CHROME_PATH'], '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const executablePath = places.find((path) => path && existsSync(path));
if (!executablePath)
  process.stderr.write(
    'SKIPPED: the report in a real browser: there is none; install chromium, or set CHROME_PATH to the program\n',
  );

const desk = { viewport: { width: 1200, height: 900 } };
const phone = { viewport: { width: 400, height: 800 } };
const looks: [name: string, options: BrowserContextOptions][] = [
  ['light, on a desk', { ...desk, colorScheme: 'light' }],
  ['dark, on a desk', { ...desk, colorScheme: 'dark' }],
  ['light, 400 pixels wide', { ...phone, colorScheme: 'light' }],
  ['dark, 400 pixels wide', { ...phone, colorScheme: 'dark' }],
];

(executablePath ? describe : describe.skip)('the report in a browser', () => {
  let folder: string;
  let url: string;
  let disagreementUrl: string;
  let browser: Browser;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'surefoot-browser-'));
    const runs = exampleRuns(40);
    const content = {
      ...{ title: 'a-name-that-is-as-long-as-the-names-of-experiments-become', runs },
      report: riskReport(runs, { replicates: 50 }),
      disagreement: exampleDisagreement(),
      rewardBench: exampleBenchmark(),
      samples: exampleSamples,
      config: { name: 'example', prompts: `/${'a-long-path/'.repeat(20)}prompts.jsonl` },
    };
    await writeFile(join(folder, 'report.html'), await renderReport(content));
    url = pathToFileURL(join(folder, 'report.html')).href;
    const disagreement = await renderDisagreement({ title: 'ensemble@1', disagreement: exampleDisagreement() });
    await writeFile(join(folder, 'disagreement.html'), disagreement);
    disagreementUrl = pathToFileURL(join(folder, 'disagreement.html')).href;
    browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
  });
  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true });
  });

  const complaints: string[] = [];
  /** Opens the page; what it says on the console, and every request but the one for itself, is a complaint. */
  async function open(options: BrowserContextOptions, address = url): Promise<Page> {
    complaints.length = 0;
    const page = await (await browser.newContext({ ...options, offline: true })).newPage();
    page.on('console', (message) => complaints.push(`console: ${message.text()}`));
    page.on('pageerror', ({ message }) => complaints.push(`error: ${message}`));
    page.on('request', (request) => request.url() !== address && complaints.push(`request: ${request.url()}`));
    await page.goto(address);
    return page;
  }
  afterEach(async () => {
    await Promise.all(browser.contexts().map((context) => context.close()));
    expect(complaints).toEqual([]);
  });

  describe.each(looks)('%s', (_, options) => {
    test('axe finds no violation, and nothing scrolls sideways but what may', async () => {
      const page = await open(options);
      await page.evaluate(`document.querySelectorAll('details').forEach((each) => (each.open = true))`);
      const width = await page.evaluate('document.documentElement.scrollWidth');
      expect(width).toBe(options.viewport?.width);
      await page.evaluate(axe);
      const violations = await page.evaluate(
        `axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.map(({ target }) => target)]))`,
      );
      expect(violations).toEqual([]);
    });
    test('nor on the page of reward disagree', async () => {
      const page = await open(options, disagreementUrl);
      await page.evaluate(axe);
      expect(await page.evaluate(`axe.run().then(({ violations }) => violations.map(({ id }) => id))`)).toEqual([]);
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(options.viewport?.width);
    });
    test('has the colours of its scheme, and ink on paper in print', async () => {
      const page = await open(options);
      const paper = () => page.evaluate('getComputedStyle(document.body).backgroundColor');
      expect(await paper()).toBe(options.colorScheme === 'dark' ? 'rgb(20, 23, 26)' : 'rgb(255, 255, 255)');
      await page.emulateMedia({ media: 'print' });
      expect(await paper()).toBe('rgb(255, 255, 255)');
    });
  });

  const table = 'table:has(caption:has-text("RewardBench by member"))';
  const order = (page: Page) => page.locator(`${table} tbody td:nth-child(2)`).allTextContents();
  const expected = (sign: 1 | -1) => {
    const { mean, members } = exampleBenchmark();
    const accuracies = [mean, ...members].map(({ accuracy }) => accuracy).sort((a, b) => sign * (a - b));
    return accuracies.map((accuracy) => expect.stringContaining(`${(100 * accuracy).toFixed(1)} %`));
  };

  test('a header sorts its table by numbers, up and down, and says so', async () => {
    const page = await open(desk);
    const header = page.locator(`${table} th`, { hasText: 'all items' });
    expect(await header.getAttribute('aria-sort')).toBeNull();
    await header.getByRole('button').click();
    expect(await order(page)).toEqual(expected(1));
    expect(await header.getAttribute('aria-sort')).toBe('ascending');
    await header.getByRole('button').click();
    expect(await order(page)).toEqual(expected(-1));
    expect(await header.getAttribute('aria-sort')).toBe('descending');
    await page.locator(`${table} th`, { hasText: 'reward model' }).getByRole('button').click();
    expect(await page.locator(`${table} tbody th`).allTextContents()).toEqual(
      ['mean', ...Array.from({ length: 10 }, (_, k) => `member ${k}`)].sort(),
    );
    expect(await page.locator(`${table} [aria-sort]`).count()).toBe(1);
  });

  test('without a pointer: Tab reaches links, charts, tables, headers and the settings; Enter and Space sort', async () => {
    const page = await open(desk);
    const reached = new Set<string>();
    const current = `(({ tagName, className }) => [tagName, className].filter(Boolean).join('.'))(document.activeElement)`;
    for (let stops = 0; stops < 300; stops++) {
      await page.keyboard.press('Tab');
      const element = (await page.evaluate(current)) as string;
      if (element === 'BODY') break;
      reached.add(element);
    }
    expect([...reached].sort()).toEqual(['A', 'BUTTON', 'DIV.chart', 'DIV.scroll', 'PRE', 'SUMMARY']);
    await page.locator(`${table} th`, { hasText: 'all items' }).getByRole('button').focus();
    await page.keyboard.press('Enter');
    expect(await order(page)).toEqual(expected(1));
    await page.keyboard.press('Space');
    expect(await order(page)).toEqual(expected(-1));
  });

  test('arrow keys say the runs of a chart one by one, Escape and leaving end it', async () => {
    const page = await open(desk);
    const chart = page.getByRole('group', { name: 'Final gains: 80 values' });
    const tip = page.getByRole('status');
    await chart.focus();
    await page.keyboard.press('ArrowRight');
    expect(await tip.textContent()).toMatch(/^vanilla, data-11, run 0 \(seed 1000\): gain [+−]\d\.\d\d, KL \d\.\d\d$/);
    const first = await tip.textContent();
    await page.keyboard.press('ArrowRight');
    expect(await tip.textContent()).toContain('run 1 (seed 1001)');
    await page.keyboard.press('Home');
    expect(await tip.textContent()).toBe(first);
    await page.keyboard.press('End');
    expect(await tip.textContent()).toContain('variance-weighted-kl, data-12');
    await page.keyboard.press('Escape');
    expect(await tip.isHidden()).toBe(true);
    await page.keyboard.press('Home');
    await page.keyboard.press('Tab');
    expect(await tip.isHidden()).toBe(true);
  });

  test('the pointer needs not hit a mark exactly, and the value stays inside the window', async () => {
    const page = await open(phone);
    const mark = page.getByRole('group', { name: 'Final gains' }).locator('circle').first();
    await mark.scrollIntoViewIfNeeded();
    const { x, y, width } = (await mark.boundingBox())!;
    await page.mouse.move(x - 3, y + width / 2);
    const tip = page.getByRole('status');
    expect(await tip.textContent()).toContain('vanilla, data-');
    const box = (await tip.boundingBox())!;
    expect(box.x).toBeGreaterThanOrEqual(0);
    expect(box.x + box.width).toBeLessThanOrEqual(400);
    await page.mouse.move(1, 1);
    expect(await tip.isHidden()).toBe(true);
  });

  test('all runs are printed, and folded again afterwards', async () => {
    const page = await open(desk);
    const folded = () => page.locator('details:not([open])').count();
    expect(await folded()).toBe(1);
    await page.evaluate(`dispatchEvent(new Event('beforeprint'))`);
    expect(await folded()).toBe(0);
    await page.evaluate(`dispatchEvent(new Event('afterprint'))`);
    expect(await folded()).toBe(1);
  });

  test('where scripts do not run, everything can be read and no button is without effect', async () => {
    const page = await open({ ...desk, javaScriptEnabled: false });
    expect(await page.locator('button, [tabindex]:not(.scroll, pre)').count()).toBe(0);
    expect(await order(page)).toHaveLength(11);
    expect(await page.locator('figure svg title').count()).toBeGreaterThan(300);
  });
});
