/* eslint-disable no-restricted-properties -- what native libraries are told, they read from the environment */
// Before jest's worker processes start: settings that native libraries read from the real environment, and what is skipped.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspectTensorflow } from '../libs/tensor/src/tensorflow/native-library';
import { hasGraphicsCard, inspectWebgpu, softwareDriver } from '../libs/tensor/src/webgpu/inspect-webgpu';

export default function setup(_: unknown, { rootDir }: { rootDir: string }): void {
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '3';
  // Without a card the tests of WebGPU run on the CPU, where Debian's chromium has brought the driver for it.
  if (!hasGraphicsCard() && existsSync(softwareDriver)) process.env['VK_ICD_FILENAMES'] ??= softwareDriver;
  // Mesa's layer that orders graphics cards would complain that there is no desktop.
  process.env['NODEVICE_SELECT'] ??= '1';
  if (!computes(rootDir)) return;
  for (const [name, { problem, cure }] of Object.entries({ tensorflow: inspectTensorflow(), webgpu: inspectWebgpu() }))
    if (problem) process.stderr.write(`SKIPPED: no tests on backend ${name}: ${problem}: ${cure}\n`);
}

/** Whether a project's tests open backends. */
function computes(folder: string): boolean {
  const { name, dependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  return name === '@surefoot/tensor' || '@surefoot/tensor' in (dependencies ?? {});
}
