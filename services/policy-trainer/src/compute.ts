import { createComputeWorker, workerFile, type ComputeWorker, type Logger } from '@surefoot/service';
import type { ComputeProcedures, ComputeSettings, MainProcedures } from './compute-thread';

/** A compute thread that is started when it is needed, and anew where it broke down. */
export interface Compute {
  /** The running thread, backend open; one job at a time, which is served by `handlers`. */
  thread(handlers: Partial<MainProcedures>): Promise<ComputeWorker<ComputeProcedures>['call']>;
  /** Ends the thread at once; what it wrote stays. */
  close(): Promise<void>;
}

/** @param settings of the backend, opened in the thread @param logger told which it is, and when the thread breaks down */
export function createCompute(settings: ComputeSettings, logger: Logger): Compute {
  let worker: ComputeWorker<ComputeProcedures> | undefined;
  let current: Partial<MainProcedures> = {};
  let closed = false;
  const procedures: MainProcedures = {
    opened: (backend) => {
      // Plain operations are many times slower.
      logger[backend.kernelBuild === 'plain' ? 'warn' : 'info']({ backend }, 'backend opened');
    },
    score: (request) => current.score!(request),
    stage: (stage) => current.stage!(stage),
    iterationDone: (line) => current.iterationDone!(line),
    warn: (message) => current.warn!(message),
    responseDone: (response) => current.responseDone!(response),
  };

  const open = async () => {
    const opened = createComputeWorker<ComputeProcedures>(workerFile(__dirname, 'compute-thread'), {
      data: settings,
      procedures,
    });
    void opened.failed.then((error) => {
      if (worker === opened) worker = undefined;
      logger.error({ err: error }, 'the compute thread has stopped');
    });
    worker = opened;
    try {
      await opened.call('open', undefined);
    } catch (error) {
      worker = undefined;
      await opened.close();
      throw error;
    }
    return opened;
  };

  return {
    async thread(handlers) {
      current = handlers;
      const opened = worker ?? (await open());
      if (closed) await opened.close();
      return opened.call;
    },
    async close() {
      closed = true;
      await worker?.close();
    },
  };
}
