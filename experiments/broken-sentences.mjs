// How far runs that ended worse than they began did so by broken sentences: node experiments/broken-sentences.mjs DIR…
//
// DIR is the folder of an experiment on the built-in task. A sentence is whole where each of its eleven words is of its slot's kind; those
// that end early, late or never are broken. Printed for each method: the share of broken and of short responses of the final policies, and
// how the runs would stand if whole sentences alone counted, at the start and at the end.
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';

const lines = (text) => text.trimEnd().split('\n').map(JSON.parse);
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const sd = (values) =>
  Math.sqrt((mean(values.map((x) => (x - mean(values)) ** 2)) * values.length) / (values.length - 1));
const correlation = (a, b) =>
  mean(a.map((x, i) => (x - mean(a)) * (b[i] - mean(b)))) /
  Math.sqrt(mean(a.map((x) => (x - mean(a)) ** 2)) * mean(b.map((x) => (x - mean(b)) ** 2)));

function describeFolder(folder) {
  const [, gold] = /^gold: (.*)$/m.exec(readFileSync(join(folder, 'experiment.yaml'), 'utf8')) ?? [];
  if (!gold) throw new Error('its experiment.yaml names no gold');
  const isWhole = wholeSentences(resolve(folder, gold));
  const runs = lines(readFileSync(join(folder, 'runs.jsonl'), 'utf8')).filter(({ status }) => status === 'completed');
  if (runs.length === 0) throw new Error('no run is completed');
  for (const method of new Set(runs.map((run) => run.method))) {
    const measured = runs.filter((run) => run.method === method).map((run) => measure(folder, run, isWhole));
    const [worse, better] = [true, false].map((isWorse) => measured.filter(({ gain }) => gain < 0 === isWorse));
    const share = (group) => (group.length === 0 ? '–' : mean(group.map(({ broken }) => broken)).toFixed(2));
    // Not of the runs whose policy says nothing whole any more.
    const whole = measured.map(({ wholeGain }) => wholeGain).filter(Number.isFinite);
    console.log(
      `${folder} ${method}: ${worse.length} of ${measured.length} worse; broken ${share(measured)} (worse ${share(worse)}, others ${share(better)}), ` +
        `short ${mean(measured.map(({ short }) => short)).toFixed(3)}; correlation of gain and broken ` +
        `${correlation(
          measured.map(({ gain }) => gain),
          measured.map(({ broken }) => broken),
        ).toFixed(
          2,
        )}; whole sentences alone (${whole.length} runs): gain ${mean(whole).toFixed(2)}, sd ${sd(whole).toFixed(2)}, ` +
        `${whole.filter((gain) => gain < 0).length} worse`,
    );
  }
}

function measure(folder, { method, block, run }, isWhole) {
  const file = join(folder, 'runs', `${method}-${block}-${run}`, 'evaluation.jsonl.gz');
  const responses = lines(gunzipSync(readFileSync(file)).toString());
  const values = (policy, keep = () => true) =>
    responses.filter(({ prompt, [policy]: { response } }) => keep(prompt, response)).map((line) => line[policy].gold);
  return {
    gain: mean(values('final')) - mean(values('initial')),
    wholeGain: mean(values('final', isWhole)) - mean(values('initial', isWhole)),
    broken: 1 - values('final', isWhole).length / responses.length,
    short: values('final', (_, response) => response.split(' ').length < 11).length / responses.length,
  };
}

function wholeSentences(goldFile) {
  const gold = JSON.parse(readFileSync(goldFile, 'utf8'));
  const words = (entries) => new Set(entries.map(({ word }) => word));
  const kinds = {
    OPENER: words(gold.openers),
    CLOSER: words(gold.closers),
    ADVERB: words(gold.adverbs),
    ADJECTIVE: words([...gold.categories.flatMap(({ adjectives }) => adjectives), ...gold.general_adjectives]),
  };
  const slots = gold.response.slice(0, -1);
  return (prompt, response) => {
    const item = prompt.split(' ').at(-2);
    const given = response.split(' ');
    return (
      given.length === slots.length &&
      slots.every((slot, i) => kinds[slot]?.has(given[i]) ?? given[i] === (slot === 'ITEM' ? item : slot))
    );
  };
}

const folders = process.argv.slice(2);
if (folders.length === 0 || folders.some((word) => word.startsWith('-'))) {
  console.error('usage: node experiments/broken-sentences.mjs DIR…, folders of experiments on the built-in task');
  process.exitCode = 2;
} else
  for (const folder of folders)
    try {
      describeFolder(folder);
    } catch ({ message }) {
      console.error(`broken-sentences: ${folder} is no whole experiment on the built-in task: ${message}`);
      process.exitCode = 1;
    }
