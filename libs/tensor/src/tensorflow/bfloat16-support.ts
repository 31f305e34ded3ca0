import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { libraryFiles, tensorflowFolder } from './native-library';

let problem: { found: string | undefined } | undefined;

/**
 * Why this machine cannot multiply BFLOAT16 matrices in TensorFlow; undefined where it can. Looked for once.
 *
 * A CPU without instructions for it, or one that oneDNN was told not to use, ends the whole process: so the CPU's flags are read
 * first, and then another process tries.
 */
export function bfloat16Problem(): string | undefined {
  problem ??= { found: flagsProblem() ?? trialProblem() };
  return problem.found;
}

/** @param cpuinfo text of /proc/cpuinfo; by default this machine's */
export function flagsProblem(cpuinfo = readCpuinfo()): string | undefined {
  const flags = new Set(/^(?:flags|Features)\s*:(.*)$/m.exec(cpuinfo)?.[1]?.trim().split(/\s+/));
  const known = ['avx512_bf16', 'amx_bf16', 'bf16'];
  return known.some((flag) => flags.has(flag)) ? undefined : `the CPU has none of ${known.join(', ')}`;
}

function readCpuinfo(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    return '';
  }
}

/** Multiplies ones [64, 64] by ones: every number of the product is 64. */
const trial = `
const loaded = { exports: {} };
process.dlopen(loaded, process.argv[1]);
const b = loaded.exports;
const type = (name, value) => ({ name, type: b.TF_ATTR_TYPE, value });
const run = (name, attributes, inputs) => b.executeOp(name, attributes, inputs, 1)[0].id;
const ones = b.createTensor([64, 64], b.TF_FLOAT, new Float32Array(4096).fill(1));
const half = run('Cast', [type('SrcT', 1), type('DstT', 14)], [ones]);
const product = run('BatchMatMulV2', [type('T', 14)], [half, half]);
const values = b.tensorDataSync(run('Cast', [type('SrcT', 14), type('DstT', 1)], [product]));
process.exit(values.every((value) => value === 64) ? 0 : 1);
`;

function trialProblem(): string | undefined {
  const binding = join(tensorflowFolder(), libraryFiles.binding);
  const { status, signal } = spawnSync(process.execPath, ['-e', trial, binding], { stdio: 'ignore', timeout: 60_000 });
  if (status === 0) return undefined;
  return `TensorFlow fails at it in a process of its own (${signal ?? `status ${status}`})`;
}
