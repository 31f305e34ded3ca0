import { DomainError } from '@surefoot/errors';
import { defineCommand } from '../command';
import { examine } from '../doctor/examine';
import { reportLines } from '../doctor/report';
import { flag, option } from '../option';

export const doctor = defineCommand({
  name: 'doctor',
  summary: 'node, backends and why others do not open, GPU, memory, speed, what auto would take',
  example: 'doctor',
  options: { requireGpu: option('', 'fail where no GPU computes; as SUREFOOT_REQUIRE_GPU=1', flag) },
  async run(options, context) {
    const document = await examine(context, options);
    const without = document.auto.find(({ backend }) => backend === null);
    return {
      document,
      text: reportLines(document),
      failure: without && new DomainError('failed_precondition', without.reason),
    };
  },
});
