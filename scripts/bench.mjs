// `npm run bench [-- flags]`: what Surefoot takes on this machine; bench/flags.mjs says which flags there are.
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { startBackends } from './bench/backends.mjs';
import { help, parseFlags } from './bench/flags.mjs';
import { groupsOf } from './bench/measurements.mjs';
import { withRatios } from './bench/ratios.mjs';
import { figureTable, ratioTable, table } from './bench/report.mjs';
import { round } from './bench/round.mjs';
import { finish, prepare, takeTurns } from './bench/take-turns.mjs';
import { findTorch } from './bench/torch.mjs';
import { ensure, main } from './ensure.mjs';

const start = performance.now();
/** A line of progress with the seconds since the start. */
const say = (text) =>
  process.stderr.write(`${String(Math.round((performance.now() - start) / 1000)).padStart(4)} s  ${text}\n`);
const show = (text) => text && process.stderr.write(`\n${text}\n\n`);

await main(async () => {
  const { isHelp, json, parts, backends: asked, torch: torchFlags, isQuick } = parseFlags(process.argv.slice(2));
  if (isHelp) {
    process.stdout.write(help);
    return 0;
  }
  const torch = torchFlags && findTorch(torchFlags.python, torchFlags.scripts, say);
  ensure();
  const backends = await startBackends(asked, say);
  for (const { name, details } of backends)
    say(`${name}: ${details.kernelBuild} kernels, ${details.version} on ${details.device}`);
  const result = {
    ...machine(),
    torch: torch?.version,
    backends: backends.map(({ name, details }) => ({ name, ...details })),
  };
  result.figures = [];
  try {
    for (const part of parts.filter((name) => name !== 'run')) {
      const figures = [];
      for (const group of groupsOf(part, { isQuick }))
        figures.push(...(await measure(group, { backends, torch, isQuick })));
      show(figureTable(figures));
      show(ratioTable(figures));
      result.figures.push(...figures.map((figure) => ({ part, ...figure })));
    }
  } finally {
    for (const { close } of backends) close();
  }
  if (parts.includes('run')) result.run = await throughServices();
  result.seconds = Math.round((performance.now() - start) / 1000);
  const text = `${JSON.stringify(result, null, 2)}\n`;
  if (json) writeFileSync(json, text);
  else process.stdout.write(text);
  say(`done${json ? `: ${json}` : ''}`);
  return 0;
});

/** Our figures of a group; with PyTorch once before and once after its own, about as long as it takes for each of its figures. */
async function measure({ measurements, torch: jobs }, { backends, torch, isQuick }) {
  const isPaired = torch && jobs.length > 0;
  const forMs = isQuick ? 600 : isPaired ? 3000 : 2000;
  const lines = [];
  const figures = [];
  const open = [];
  for (const measurement of measurements) {
    say(`${measurement.task} ${measurement.size}, ${measurement.shape}`);
    const entries = await prepare(measurement, backends);
    await takeTurns(entries, forMs);
    if (isPaired) open.push(entries);
    else figures.push(...(await finish(entries)));
  }
  if (!isPaired) return figures.map((figure) => withRatios(figure, [], figures));
  for (const job of jobs) {
    say(`PyTorch: ${[job.script, job.part, ...Object.values(job.env ?? {})].filter(Boolean).join(' ')}`);
    lines.push(...(await torch.lines(job)));
  }
  for (const entries of open) {
    await takeTurns(entries, forMs);
    figures.push(...(await finish(entries)));
  }
  return figures.map((figure) => withRatios(figure, lines, figures));
}

async function throughServices() {
  const { ppoRunBenchmark } = await import('./bench/ppo-run.mjs');
  const run = await ppoRunBenchmark((text) => say(`run through the services: ${text}`));
  const { services, ...figures } = run;
  show(table([figures]));
  show(table(Object.entries(services).map(([service, use]) => ({ service, ...use }))));
  return run;
}

function machine() {
  const [cpu] = cpus();
  return {
    machine: {
      cpu: cpu?.model,
      cores: cpus().length,
      memoryGiB: round(totalmem() / 2 ** 30),
      platform: process.platform,
    },
    node: process.version,
    load: loadavg().map(round),
  };
}
