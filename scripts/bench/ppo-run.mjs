// A PPO run of the built-in task through the three services: processor time of all of them together, memory, how fast health
// checks are answered meanwhile, and what the wire costs.
import { encodeRollout } from '@surefoot/language-model';
import { PolicyTrainerClient, RunState } from '@surefoot/proto/surefoot/policy/v1/policy_trainer';
import { loadEnsemble, scoreSequences } from '@surefoot/reward';
import { createScoringPool } from '@surefoot/scoring-client';
import { openBackend } from '@surefoot/tensor';
import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { round } from './round.mjs';

const root = resolve(import.meta.dirname, '../..');
// What the services themselves use.
const { Client, credentials, Metadata } = createRequire(import.meta.resolve('@surefoot/service'))('@grpc/grpc-js');

export async function ppoRunBenchmark(say) {
  const out = await mkdtemp(join(tmpdir(), 'surefoot-bench-'));
  const children = [];
  try {
    say('task, ensemble and judge');
    execFileSync(
      process.execPath,
      [join(root, 'services/cli/bin/surefoot.js'), 'quickstart', '--runs', '1', '--out', out],
      {
        stdio: 'ignore',
      },
    );
    const start = async (service, env) => {
      const child = await startService(service, env);
      children.push(child);
      return child;
    };
    const ensemble = await start('reward-ensemble', { SUREFOOT_MODEL: join(out, 'ensemble') });
    const judge = await start('judge', { SUREFOOT_MODEL: join(out, 'judge') });
    const trainer = await start('policy-trainer', {
      SUREFOOT_ENSEMBLE_ADDRESS: ensemble.address,
      SUREFOOT_JUDGE_ADDRESS: judge.address,
      SUREFOOT_DATA_DIR: join(out, 'task'),
      SUREFOOT_RUNS_DIR: join(out, 'bench-runs'),
    });
    say('a run of 60 iterations');
    const before = children.map(({ pid }) => cpuSeconds(pid));
    const health = watchHealth(children);
    const from = performance.now();
    await run(trainer.address);
    const wall = (performance.now() - from) / 1000;
    const latencies = health.stop();
    const services = Object.fromEntries(
      children.map(({ service, pid }, i) => [
        service,
        {
          cpuSeconds: round(cpuSeconds(pid) - before[i]),
          peakMegabytes: Math.round(peakMegabytes(pid)),
          healthChecks: latencies[i].length,
          healthP50Ms: round(latencies[i][latencies[i].length >> 1]),
          healthP99Ms: round(latencies[i][Math.floor(latencies[i].length * 0.99)]),
        },
      ]),
    );
    const iterationMs = meanIterationMs(join(out, 'bench-runs', 'bench', 'metrics.jsonl'));
    say('the wire');
    const wireMs = await wireTime(ensemble.address, out);
    return {
      wallSeconds: round(wall),
      cpuSeconds: round(Object.values(services).reduce((sum, { cpuSeconds: s }) => sum + s, 0)),
      services,
      iterationMs: round(iterationMs),
      wireMs: round(wireMs),
      wireShare: round(wireMs / iterationMs),
    };
  } finally {
    for (const { child } of children) child.kill('SIGTERM');
    await Promise.all(children.map(({ ended }) => ended));
    await rm(out, { recursive: true, force: true });
  }
}

function startService(service, env) {
  const child = spawn(process.execPath, [join(root, 'services', service, 'dist/main.js')], {
    env: { ...process.env, SUREFOOT_ADDRESS: '127.0.0.1:0', SUREFOOT_EXIT_WITH_PARENT: '1', ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise((settle) => child.once('exit', settle));
  return new Promise((settle, reject) => {
    void ended.then((status) => reject(new Error(`${service} ended with status ${status}`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const { msg, address } = JSON.parse(line);
      if (msg === 'listening') settle({ service, child, pid: child.pid, address, ended });
    });
  });
}

async function run(address) {
  const client = new PolicyTrainerClient(address, credentials.createInsecure());
  try {
    const config = {
      ...{ policy: 'base', prompts: 'prompts.jsonl', evalPrompts: 'eval-prompts.jsonl', gold: 'gold.json' },
      ...{ mode: 'variance-weighted-kl', reward: 'member', member: 0, seed: 1000n, ppo: {} },
      ...{ ensembleAddress: '', judgeAddress: '', keepRollouts: false },
    };
    const deadline = Date.now() + 300_000;
    await new Promise((done, fail) =>
      client.startRun({ runId: 'bench', config, resume: false }, new Metadata(), { deadline }, (error) =>
        error ? fail(error) : done(),
      ),
    );
    const watch = client.watchRun({ runId: 'bench', fromIteration: 0 }, new Metadata(), { deadline });
    let last;
    for await (const { run: state } of watch) last = state ?? last;
    if (last?.state !== RunState.RUN_STATE_COMPLETED) throw new Error(`the run failed: ${last?.error?.message}`);
  } finally {
    client.close();
  }
}

/** Asks every service every 100 ms; `stop` returns the latencies of each in ascending order, milliseconds. */
function watchHealth(services) {
  const watched = services.map(({ address }) => ({
    client: new Client(address, credentials.createInsecure()),
    latencies: [],
  }));
  const timer = setInterval(() => {
    for (const { client, latencies } of watched) {
      const from = performance.now();
      // The health protocol's messages, written out: nothing asked, SERVING answered.
      const answered = () => latencies.push(performance.now() - from);
      client.makeUnaryRequest(
        '/grpc.health.v1.Health/Check',
        () => Buffer.alloc(0),
        (bytes) => bytes,
        new Metadata(),
        answered,
      );
    }
  }, 100);
  return {
    stop: () => {
      clearInterval(timer);
      for (const { client } of watched) client.close();
      return watched.map(({ latencies }) => latencies.sort((x, y) => x - y));
    },
  };
}

/**
 * Milliseconds that 64 rollouts take through pool, wire and server beyond what scoring them takes: the least of both.
 */
async function wireTime(address, out) {
  // The services' own backend, else the difference would be between backends.
  await openBackend(process.env.SUREFOOT_BACKEND ?? 'auto');
  const ensemble = await loadEnsemble(join(out, 'ensemble'));
  const prompt = 'how is the soup ?';
  const response = 'well the soup is very tasty and quite fresh thanks .';
  const { promptIds, responseIds } = encodeRollout(ensemble.tokenizer, { prompt, response }, { maxTokens: 32 });
  const sequences = Array.from({ length: 64 }, () => Int32Array.of(...promptIds, ...responseIds));
  const rollouts = sequences.map((_, i) => ({
    ...{ id: String(i), prompt: { $case: 'text', value: prompt }, response, truncated: false, ttlMs: 0 },
    tokenIds: {
      ...{ tokenizerDigest: ensemble.tokenizer.digest, promptIds: [...promptIds], responseIds: [...responseIds] },
    },
  }));
  const pool = createScoringPool({ kind: 'reward-ensemble', addresses: [address] });
  try {
    const remote = await leastMs(() => pool.score(rollouts));
    const local = await leastMs(() => scoreSequences(ensemble, sequences));
    return Math.max(0, remote - local);
  } finally {
    pool.close();
  }
}

/** Least milliseconds of fifty runs. */
async function leastMs(run) {
  let least = Infinity;
  for (let i = 0; i < 50; i++) {
    const from = performance.now();
    await run();
    least = Math.min(least, performance.now() - from);
  }
  return least;
}

function meanIterationMs(metricsFile) {
  const seconds = readFileSync(metricsFile, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line)['time/seconds'] ?? JSON.parse(line).metrics['time/seconds']);
  return ((seconds.at(-1) - seconds[0]) / (seconds.length - 1)) * 1000;
}

/** User and system time of a process so far; Linux counts them in hundredths of a second. */
function cpuSeconds(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function peakMegabytes(pid) {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
}
