// One backend in a process of its own, as services have it; prepares work and does it when its turn comes. backends.mjs starts it.
import { openBackend } from '@surefoot/tensor';
import { gpt2Block, gpt2BlockGradient, llamaBlock, llamaBlockGradient } from './work/block.mjs';
import { twoComputeThreads } from './work/compute-threads.mjs';
import { matmul } from './work/matmul.mjs';
import { ppoIteration } from './work/ppo-iteration.mjs';
import { generationWithCache, generationWithoutCache, samplingWithCache } from './work/sampling.mjs';
import { oneScorer, tenAdapters, tenHeads, tenMergedAdapters, tenScorers } from './work/scoring.mjs';
import { stackedScorers } from './work/stacked-scorers.mjs';
import { trainingStep } from './work/training-step.mjs';

const work = {
  ...{ matmul, trainingStep, oneScorer, tenScorers, stackedScorers, twoComputeThreads, tenHeads },
  ...{ tenAdapters, tenMergedAdapters },
  ...{ gpt2Block, gpt2BlockGradient, llamaBlock, llamaBlockGradient },
  ...{ sampling: samplingWithCache, generationWithCache, generationWithoutCache, ppoIteration },
};
/** Milliseconds of warming up; a run that takes longer than `slowMs` is warm enough to count. */
const warmMs = 300;
const slowMs = 2000;

const ready = new Map();

const answers = {
  open: ({ backend, threads }) => openBackend(backend, { threads }),

  /** Prepares and warms; @returns the first run where it is too slow to be repeated for nothing */
  async prepare({ key, name, size }) {
    const prepared = await work[name]({ size });
    ready.set(key, prepared);
    const start = performance.now();
    let run;
    do run = await timed(prepared.run);
    while (run.ms < slowMs && performance.now() - start < warmMs);
    return run.ms < slowMs ? [] : [run];
  },

  /** @returns runs over `forMs`, at least one */
  async turn({ key, forMs }) {
    const runs = [];
    const start = performance.now();
    do runs.push(await timed(ready.get(key).run));
    while (performance.now() - start < forMs);
    return runs;
  },

  async finish({ key }) {
    await ready.get(key)?.dispose();
    ready.delete(key);
  },
};

async function timed(run) {
  const [cpu, from] = [process.cpuUsage(), performance.now()];
  const parts = await run();
  const ms = performance.now() - from;
  const { user, system } = process.cpuUsage(cpu);
  return { ms, cpuMs: (user + system) / 1000, ...(parts && { parts }) };
}

process.on('message', async ({ ask, ...input }) => {
  try {
    process.send({ answer: await answers[ask](input) });
  } catch (error) {
    process.send({ error: error.message });
  }
});
process.on('disconnect', () => process.exit());
