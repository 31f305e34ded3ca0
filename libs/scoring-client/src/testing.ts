import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger, implement, serve, type BidiStreamingHandler } from '@surefoot/service';
import type { Rollout, ScorerLimits } from '@surefoot/proto/surefoot/common/v1/common';
import {
  RewardEnsembleService,
  type RolloutScore,
  type ScoreRequest,
  type ScoreResponse,
} from '@surefoot/proto/surefoot/reward/v1/reward_ensemble';

/**
 * A reward ensemble for tests of the pool: a real server in a process of its own, whose scores are a function of the text
 * alone, and which misbehaves on request. It logs `holding`, `silent` and `slow` for each rollout that it does not answer.
 */
export interface FakeScorer {
  address?: string;
  digest?: string;
  /** Answers come up to this long after the question, in an order that depends on the text. */
  delayMs?: number;
  /** The rollouts of a stream are answered one after the other, this long each. */
  paceMs?: number;
  maxOutstanding?: number;
  /** This many streams, the first ones, take rollouts and never answer. */
  silentStreams?: number;
  /** Every other rollout, by its text, is answered only when a line has come on stdin. */
  holds?: boolean;
}

/** Deterministic, and different for different texts. */
export function fakeScore({ prompt, response }: Pick<Rollout, 'prompt' | 'response'>): number {
  const text = JSON.stringify(prompt) + response;
  let hash = 7;
  for (let i = 0; i < text.length; i += 1) hash = (hash * 31 + text.charCodeAt(i)) % 1_000_003;
  return Math.fround(hash / 1000);
}

function answer(rollout: Rollout): RolloutScore {
  if (rollout.response === 'bad') return failed(rollout.id, 3, 'a bad response');
  const score = fakeScore(rollout);
  return { id: rollout.id, status: undefined, memberScores: [score, -score], mean: score, variance: 1 };
}

function failed(id: string, code: number, message: string): RolloutScore {
  return { id, status: { code, message }, memberScores: [], mean: undefined, variance: undefined };
}

async function start(options: FakeScorer): Promise<void> {
  const {
    address = '127.0.0.1:0',
    digest = 'd'.repeat(64),
    delayMs = 5,
    paceMs = 0,
    maxOutstanding = 1024,
    silentStreams = 0,
    holds = false,
  } = options;
  const released = once(process.stdin, 'data');
  let streams = 0;
  const logger = createLogger({ service: 'fake-scorer', version: '0', level: 'info' });
  const model = { name: 'fake', version: digest.slice(0, 12), digest };
  const limits: ScorerLimits = {
    maxRolloutsPerMessage: 128,
    maxTokensPerRollout: 100,
    maxMessageBytes: 1024 * 1024,
    maxOutstandingRollouts: maxOutstanding,
  };
  const score: BidiStreamingHandler<ScoreRequest, ScoreResponse> = async (requests, send, { signal }) => {
    const answers: Promise<void>[] = [];
    const isSilent = streams++ < silentStreams;
    const reply = async (rollout: Rollout) => {
      if (rollout.response === 'crash') process.exit(1);
      if (isSilent) return logger.info('silent');
      if (rollout.response === 'slow') {
        logger.info('slow');
        await sleep(600_000, undefined, { signal });
      }
      if (holds && Math.round(fakeScore(rollout) * 1000) % 2 === 1) {
        logger.info('holding');
        await released;
      }
      await sleep(paceMs * answers.length + ((fakeScore(rollout) * 1000) % (delayMs + 1)));
      await send({ scores: [answer(rollout)], model });
      if (rollout.response === 'twice') await send({ scores: [answer(rollout)], model });
    };
    for await (const { rollouts, cancelIds } of requests) {
      for (const id of cancelIds) await send({ scores: [failed(id, 1, 'cancelled')], model });
      for (const rollout of rollouts) answers.push(reply(rollout).catch(() => undefined));
    }
    await Promise.all(answers);
  };
  const handlers = {
    score,
    scoreBatch: () => ({ scores: [], model }),
    getEnsemble: () => ({ model, members: [], kind: 'full', tokenizerDigest: '', limits }),
  };
  const services = [implement(RewardEnsembleService, handlers)];
  const server = await serve({ services, address, logger, drainMs: 60_000 });
  process.on('SIGTERM', () => {
    void server.close().then(() => process.exit(0));
    logger.info('draining');
  });
  // The test that started this process has ended.
  process.stdin.on('close', () => process.exit(1)).resume();
  logger.info({ address: server.address }, 'listening');
}

if (require.main === module) void start(JSON.parse(process.argv[2] ?? '{}') as FakeScorer);
