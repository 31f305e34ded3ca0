import { serve, type BoundService, type Logger, type RunningService } from '@surefoot/service';
import { Scorer } from './scorer';
import type { ScorerConfig } from './settings';

/**
 * Starts a scoring service: the port first, then the models, and ready when they are warm. A thread that breaks down ends
 * the service.
 *
 * @param options.service the handlers of one scorer
 * @param options.expectedMembers insists on a model folder of so many members
 */
export async function serveScorer(
  config: ScorerConfig & { SUREFOOT_ADDRESS: string },
  logger: Logger,
  options: { service: (scorer: Scorer) => BoundService; expectedMembers?: number },
): Promise<RunningService> {
  const scorer = new Scorer(config, logger, options.expectedMembers);
  try {
    const server = await serve({
      services: [options.service(scorer)],
      address: config.SUREFOOT_ADDRESS,
      logger,
      drainMs: config.SUREFOOT_DRAIN_MS,
      ready: scorer.ready,
    });
    const close = async () => {
      await server.close();
      await scorer.close();
    };
    return { address: server.address, close, failed: scorer.failed };
  } catch (error) {
    await scorer.close();
    throw error;
  }
}
