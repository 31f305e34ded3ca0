// What is measured, in groups; each group is compared with the same runs of the PyTorch scripts.
import { availableParallelism } from 'node:os';
import { generation, ppo, sampling, scoring, sizes } from './sizes.mjs';

const onOneThread = ({ threads }) => threads === 1;
const onTensorflow = ({ details, threads }) => details.name === 'tensorflow' && threads === 1;
const onWasm = ({ details }) => details.name === 'wasm' && availableParallelism() > 1;
const everywhere = () => true;

/** The groups of each part, in the order in which they run; the part `run` stands in ppo-run.mjs. */
const partGroups = {
  matmul: [{ torch: [], measurements: ['512', '1024'].map(matmul) }],
  blocks: [{ torch: [], measurements: ['tiny', '1M', '10M'].flatMap(blocks) }],
  training: [
    { torch: [], measurements: [training('tiny')] },
    { torch: [{ script: 'bench.py', part: 'train' }], measurements: ['0.1M', '1M', '10M'].map(training) },
  ],
  scoring: ['0.1M', '1M', '10M'].map((size) => ({
    torch: [{ script: 'bench.py', part: 'ensemble', env: { ENSEMBLE_SIZES: size } }],
    measurements: scorers(size),
  })),
  sampling: [{ torch: [{ script: 'bench.py', part: 'generate' }], measurements: ['tiny', '1M'].map(samples) }],
  generation: [{ torch: [], measurements: generations('1M') }],
  ppo: [
    {
      torch: [{ script: 'bench.py', part: 'ppo' }, { script: 'trl_ppo.py' }],
      measurements: [iteration('tiny')],
    },
  ],
};

export const partNames = [...Object.keys(partGroups), 'run'];

/** The groups of a part; quick ones leave out 10M. */
export function groupsOf(part, { isQuick }) {
  return partGroups[part]
    .map(({ torch, measurements }) => ({
      torch,
      measurements: measurements.filter(({ size }) => !(isQuick && size === '10M')),
    }))
    .filter(({ measurements }) => measurements.length > 0);
}

/** Whether a backend that is there to be right, not fast, should be kept waiting for it. */
export function isSmall({ size }) {
  return ['512', 'tiny', '0.1M'].includes(size);
}

// A measurement is one task done in one way or several: `name` is that of backend-process.mjs, `amount` what a run gets done.

function matmul(size) {
  const amount = { amount: (2 * Number(size) ** 3) / 1e9, unit: 'GFLOP' };
  return { task: 'matmul', size, shape: `${size} × ${size}`, ...amount, ways: [{ name: 'matmul', on: onOneThread }] };
}

function blocks(size) {
  const { rows, tokens } = sizes[size];
  const about = { size, shape: `${rows} × ${tokens}`, amount: rows * tokens, unit: 'tokens' };
  const ways = (suffix) => ['gpt2', 'llama'].map((way) => ({ name: `${way}Block${suffix}`, way, on: onOneThread }));
  return [
    { ...about, task: 'block', ways: ways('') },
    { ...about, task: 'block and its gradient', ways: ways('Gradient') },
  ];
}

function training(size) {
  const { rows, tokens } = sizes[size];
  return {
    ...{ task: 'training step', size, shape: `${rows} × ${tokens}`, amount: rows * tokens, unit: 'tokens' },
    ways: [{ name: 'trainingStep', on: everywhere }],
  };
}

function scorers(size) {
  const { rows, tokens } = scoring;
  const batch = { size, shape: `${rows} × ${tokens}`, amount: rows, unit: 'rollouts' };
  const ten = [
    { name: 'tenScorers', way: 'loop', on: everywhere },
    { name: 'stackedScorers', way: 'stacked', on: onTensorflow },
    // Asked for where overheads show; at 10M two threads are two times one.
    ...(size === '10M' ? [] : [{ name: 'twoComputeThreads', way: 'two Workers', on: onWasm }]),
  ];
  return [
    { ...batch, task: 'one scorer', ways: [{ name: 'oneScorer', on: onOneThread }] },
    { ...batch, task: 'ten scorers', ways: ten },
    { ...batch, task: 'ten heads', ways: [{ name: 'tenHeads', on: onOneThread }] },
    {
      ...{ ...batch, task: 'ten adapters' },
      ways: [
        { name: 'tenAdapters', way: 'on the fly', on: onOneThread },
        { name: 'tenMergedAdapters', way: 'merged', on: onOneThread },
      ],
    },
  ];
}

function samples(size) {
  const { rows, prompt, response } = sampling;
  return {
    ...{
      task: 'sampling',
      size,
      shape: `${rows} × (${prompt} + ${response})`,
      amount: rows * response,
      unit: 'tokens',
    },
    ways: [{ name: 'sampling', on: onOneThread }],
  };
}

function generations(size) {
  const { rows, prompt, response, sparse } = generation;
  const batch = { size, shape: `${rows} × (${prompt} + ${response})`, unit: 'tokens' };
  const way = (name) => ({ ways: [{ name, on: onOneThread }] });
  return [
    { ...batch, task: 'generation', amount: rows * response, ...way('generationWithCache') },
    { ...batch, task: 'without a cache', amount: (rows * response) / sparse, ...way('generationWithoutCache') },
  ];
}

function iteration(size) {
  const { rollouts, prompt, response, epochs } = ppo;
  return {
    ...{ task: 'PPO iteration', size, amount: rollouts, unit: 'rollouts' },
    shape: `${rollouts} × (${prompt} + ${response}), ${epochs} epochs`,
    ways: [{ name: 'ppoIteration', on: onOneThread }],
  };
}
