// `npm run bench [-- --json FILE] [-- --only kernels|run]`: what Surefoot takes on this machine. A table on stderr, JSON on stdout or in FILE.
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { ensure, main } from './ensure.mjs';

await main(async () => {
  const { values } = parseArgs({ options: { json: { type: 'string' }, only: { type: 'string' } } });
  if (values.only && !['kernels', 'run'].includes(values.only)) throw new Error('--only takes kernels or run');
  ensure();
  // Imported after the build that they read.
  const { openBackend } = await import('@surefoot/tensor');
  const { kernelBenchmarks } = await import('./bench/kernels.mjs');
  const { ppoRunBenchmark } = await import('./bench/ppo-run.mjs');
  const { table } = await import('./bench/measure.mjs');

  const say = (text) => process.stderr.write(`${text}\n`);
  const { name, kernelBuild } = await openBackend('auto');
  const result = { node: process.version, cpu: cpus()[0]?.model, cores: cpus().length, backend: name, kernelBuild };
  if (values.only !== 'run') {
    say('kernels, one thread');
    result.kernels = await kernelBenchmarks();
    say(table(result.kernels));
  }
  if (values.only !== 'kernels') {
    result.run = await ppoRunBenchmark((text) => say(`PPO run: ${text}`));
    const { services, ...figures } = result.run;
    say(table([figures]));
    say(table(Object.entries(services).map(([service, use]) => ({ service, ...use }))));
  }
  const json = `${JSON.stringify(result, null, 2)}\n`;
  if (values.json) writeFileSync(values.json, json);
  else process.stdout.write(json);
  return 0;
});
