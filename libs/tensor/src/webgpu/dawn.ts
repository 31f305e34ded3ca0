import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { DomainError } from '@surefoot/errors';
import { dawnLibrary, hasGraphicsCard, inspectWebgpu, softwareCure } from './inspect-webgpu';

/** A WebGPU device, and what its adapter says of itself. */
export interface OpenedDevice {
  gpu: GPU;
  device: GPUDevice;
  adapterInfo: GPUAdapterInfo;
  /** Release of the package webgpu, which carries Dawn. */
  version: string;
  /** For example `SwiftShader driver 5.0.0`. */
  name: string;
  /** False for an adapter that computes on the CPU. */
  isHardware: boolean;
}

interface Dawn {
  create(options: string[]): GPU;
  /** GPUBuffer and the like, which code written for browsers expects to be global. */
  globals: Record<string, unknown>;
}

/** What TensorFlow.js needs as much of as there is; everything else stays as every adapter has it. */
const wantedLimits = [
  'maxBufferSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupStorageSize',
  'maxComputeWorkgroupsPerDimension',
  'maxStorageBufferBindingSize',
] as const;

/**
 * Loads Dawn and asks it for the fastest adapter.
 *
 * @throws DomainError failed_precondition if something is missing, with what to do about it
 */
export async function openDevice(): Promise<OpenedDevice> {
  const { problem, cure } = inspectWebgpu();
  if (problem) throw new DomainError('failed_precondition', `no WebGPU here: ${problem}: ${cure}`);
  const { dawn, version } = loadDawn();
  Object.assign(globalThis, dawn.globals);
  const gpu = dawn.create([]);
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) {
    const driver = hasGraphicsCard()
      ? 'install the Vulkan driver of the graphics card (vulkaninfo shows it), or, '
      : '';
    throw new DomainError(
      'failed_precondition',
      `no WebGPU here: no driver offers an adapter: ${driver}${softwareCure()}`,
    );
  }
  const requiredLimits = Object.fromEntries(wantedLimits.map((name) => [name, adapter.limits[name]]));
  const device = await adapter.requestDevice({ requiredLimits });
  const { info } = adapter as unknown as { info: AdapterInfo };
  const isHardware =
    !info.isFallbackAdapter && !/swiftshader|llvmpipe|lavapipe/i.test(`${info.architecture} ${info.description}`);
  const name = info.description || [info.vendor, info.architecture].filter(Boolean).join(' ') || 'GPU';
  return { gpu, device, adapterInfo: info, version, name, isHardware };
}

/** Newer than the typings that TensorFlow.js brings. */
type AdapterInfo = GPUAdapterInfo & { isFallbackAdapter?: boolean };

/** By its path: the package's index is an ES module, which has nothing but this to load. */
function loadDawn(): { dawn: Dawn; version: string } {
  const library = dawnLibrary();
  const description = JSON.parse(readFileSync(join(dirname(library), '..', '..', 'package.json'), 'utf8'));
  try {
    return { dawn: createRequire(__filename)(library) as Dawn, version: description.version };
  } catch (error) {
    const problem = (error as Error).message;
    throw new DomainError('failed_precondition', `no WebGPU here: Dawn does not load: ${problem}`, { cause: error });
  }
}
