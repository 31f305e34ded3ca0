import { DomainError } from '@surefoot/errors';
import { defineCommand } from '../command';
import { examine, type Examination } from '../doctor/examine';
import { reportLines } from '../doctor/report';
import { backend, flag, option } from '../option';

export const doctor = defineCommand({
  name: 'doctor',
  summary: 'node, backends and why others do not open, GPU, memory, speed, what auto would take',
  example: 'doctor',
  options: {
    backend,
    requireGpu: option('', 'fail where no GPU computes; as SUREFOOT_REQUIRE_GPU=1', flag),
  },
  async run(options, context) {
    const document = await examine(context, options);
    const problem = whyNotUsable(document);
    return {
      document,
      text: reportLines(document),
      failure: problem === undefined ? undefined : new DomainError('failed_precondition', problem),
    };
  },
});

/** Why what is asked for cannot be had: the backend that is named, else whatever `auto` would take. */
function whyNotUsable({ settings, backends, auto }: Examination): string | undefined {
  const { backend: asked, requireGpu } = settings;
  if (asked === 'auto') return auto.find(({ backend: taken }) => taken === null)?.reason;
  const report = backends.find(({ name }) => name === asked)!;
  if (!report.available) return `backend ${asked} was asked for and does not open: ${report.reason}`;
  if (requireGpu && !report.isGpu) return `a GPU is required, and ${asked} computes on the CPU: ${report.reason}`;
  return undefined;
}
