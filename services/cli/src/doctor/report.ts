import type { BackendReport, Examination } from './examine';

/** What was found, for people. */
export function reportLines({ memory, settings, ...found }: Examination): string {
  const { backend, threads, requireGpu } = settings;
  return [
    `surefoot ${found.surefoot}, node ${found.node}, ${found.platform}, TensorFlow.js ${found.tfjs}`,
    `${found.cores} cores (${found.cpu}), ${gigabytes(memory.totalBytes)} memory, ${gigabytes(memory.freeBytes)} free`,
    `asked for: backend ${backend}, threads of one process: ${threads}${requireGpu ? ', a GPU' : ''}`,
    `graphics cards: ${found.gpu.join(', ') || 'none'}`,
    '',
    ...found.backends.map(backendLine),
    '',
    ...found.auto.map(
      ({ parameters, backend, reason }) => `auto, ${parameters / 1e6} M parameters: ${backend ?? 'nothing'}; ${reason}`,
    ),
    ...(found.problems.length > 0 ? [''] : []),
    ...found.problems.map(({ problem, cure }) => `${problem}: ${cure}`),
  ].join('\n');
}

function backendLine(report: BackendReport): string {
  if (!report.available) return `${report.name}: does not open; ${report.reason}`;
  const { name, version, device, threads, matmulGflops, reason } = report;
  return `${name} ${version} on ${device}, ${threads === 1 ? '1 thread' : `${threads} threads`}: ${matmulGflops.toPrecision(3)} GFLOP/s; ${reason}`;
}

function gigabytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`;
}
