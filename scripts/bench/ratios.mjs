// Which figure of PyTorch a figure of ours stands beside, and what the ratio of the two should at most be.

/** Lines of bench.py and trl_ppo.py by the task that they do. */
const baselines = [
  { task: 'training step', against: 'PyTorch', is: ({ part }) => part === 'train' },
  { task: 'one scorer', against: 'one PyTorch model', is: ({ case: name }) => name === 'one model' },
  { task: 'ten scorers', against: 'loop of ten', is: ({ case: name }) => name === 'loop of ten' },
  { task: 'ten heads', against: 'loop of ten', is: ({ case: name }) => name === 'loop of ten' },
  {
    task: 'sampling',
    against: 'transformers generate',
    is: ({ case: name }) => name === 'transformers generate, sampling',
  },
  { task: 'PPO iteration', against: 'hand-written', is: ({ case: name }) => name === 'hand-written PPO iteration' },
  { task: 'PPO iteration', against: 'TRL', is: ({ case: name }) => /^trl /.test(name) },
];

/** Which of our own figures stand beside one another, on the same backend and as many threads. */
const ownBaselines = [{ task: 'ten heads', against: 'one scorer' }];

/** By task (with its way or what it stands beside where one has a target of its own), backend and size. */
const targets = {
  'ten heads, one scorer': {
    tensorflow: { '1M': 1.3, '10M': 1.3 },
    wasm: { '1M': 1.3, '10M': 1.3 },
  },
  'training step': {
    tensorflow: { '0.1M': 2, '1M': 1.4, '10M': 1.2 },
    wasm: { '0.1M': 1.35, '1M': 1.75, '10M': 2 },
  },
  'ten scorers': {
    tensorflow: { '0.1M': 1.5, '1M': 1.25, '10M': 1.05 },
    wasm: { '0.1M': 1.6, '1M': 1.8, '10M': 2 },
  },
  'ten scorers, two Workers': { wasm: { '0.1M': 0.85 } },
  'ten heads': {
    tensorflow: { '0.1M': 0.15, '1M': 0.15, '10M': 0.15 },
    wasm: { '0.1M': 0.2, '1M': 0.2, '10M': 0.2 },
  },
  sampling: { tensorflow: { tiny: 1, '1M': 1 }, wasm: { tiny: 0.6, '1M': 1 } },
  'PPO iteration, hand-written': { wasm: { tiny: 1.2 } },
  'PPO iteration, TRL': { wasm: { tiny: 0.25 } },
};

/** A figure of ours with the ratios to those lines that do the same, and to those of our figures that it is held against. */
export function withRatios(figure, lines, figures) {
  if (figure.problem) return figure;
  const own = ownBaselines.flatMap(({ task, against }) => {
    const other = figures.find((candidate) => candidate.task === against && isBeside(candidate, figure));
    if (task !== figure.task || !other) return [];
    return [ratio(figure, against, { ms: other.leastMs, cpu_ms: other.leastCpuMs })];
  });
  const ratios = baselines.flatMap(({ task, against, is }) => {
    const line = lines.find((candidate) => candidate.size === figure.size && is(candidate));
    return task === figure.task && line ? [ratio(figure, against, line)] : [];
  });
  const all = [...own, ...ratios];
  return all.length > 0 ? { ...figure, ratios: all } : figure;
}

function isBeside(other, { size, backend, threads }) {
  return !other.problem && other.size === size && other.backend === backend && other.threads === threads;
}

function ratio(figure, against, line) {
  const ms = line.step_ms ?? line.ms;
  const target = targetOf(figure, against);
  const wall = digits(figure.leastMs / ms);
  // Of several threads the processor time says nothing about speed; of one it is the wall time of a quiet machine.
  const cpu = line.cpu_ms && figure.threads === 1 ? digits(figure.leastCpuMs / line.cpu_ms) : undefined;
  return {
    ...{ against, ms, ratio: wall },
    ...(cpu !== undefined && { cpuMs: line.cpu_ms, cpuRatio: cpu }),
    ...(target && { target, isMet: wall <= target, ...(cpu !== undefined && { isMetByCpu: cpu <= target }) }),
  };
}

function digits(x) {
  return Number(x.toFixed(3));
}

function targetOf({ task, way, backend, size }, against) {
  const byBackend = targets[`${task}, ${against}`] ?? targets[way === 'two Workers' ? `${task}, ${way}` : task];
  return byBackend?.[backend]?.[size];
}
