import { existsSync, readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** Where Debian's package chromium puts the driver that computes WebGPU on the CPU. */
export const softwareDriver = '/usr/lib/chromium/vk_swiftshader_icd.json';

/** What there is for WebGPU on this machine, found without loading a driver. */
interface WebgpuInspection {
  /** Absent if an adapter may be asked for; whether one answers is only known then. */
  problem?: string;
  /** What to do about it. */
  cure?: string;
}

/** Looks for the package with Dawn, the Vulkan loader and something that a Vulkan driver can compute on. */
export function inspectWebgpu(): WebgpuInspection {
  if (!existsSync(dawnLibrary()))
    return {
      problem: `the optional package webgpu is not installed for ${process.platform}-${process.arch}`,
      cure: 'run npm ci without --omit=optional',
    };
  // Metal and Direct3D belong to the system.
  if (process.platform !== 'linux') return {};
  if (!hasVulkanLoader())
    return {
      problem: 'there is no Vulkan loader (libvulkan.so.1)',
      cure: 'apt-get install libvulkan1 (Debian, Ubuntu)',
    };
  if (!hasGraphicsCard() && !driversNamed().some((path) => existsSync(path)))
    return { problem: 'there is no graphics card', cure: softwareCure() };
  return {};
}

/** Whether the kernel shows a graphics card; a driver for Vulkan may still be missing. */
export function hasGraphicsCard(): boolean {
  if (process.platform !== 'linux') return true;
  return (
    existsSync('/dev/nvidia0') ||
    existsSync('/dev/dxg') ||
    filesOf('/dev/dri').some((file) => file.startsWith('renderD'))
  );
}

/** How to compute WebGPU on the CPU. */
export function softwareCure(): string {
  const install = existsSync(softwareDriver) ? '' : 'apt-get install chromium (Debian), then ';
  return `to compute in software, ${install}set VK_ICD_FILENAMES=${softwareDriver}`;
}

/** Dawn for this machine, inside the package webgpu, or an empty path where there is no such package. */
export function dawnLibrary(): string {
  try {
    const folder = dirname(createRequire(__filename).resolve('webgpu'));
    const architecture = process.platform === 'darwin' ? 'universal' : process.arch;
    return join(folder, 'dist', `${process.platform}-${architecture}`, 'dawn.node');
  } catch {
    return '';
  }
}

/** Asks the system's loader, which knows all folders that libraries are in. */
function hasVulkanLoader(): boolean {
  try {
    process.dlopen({ exports: {} }, 'libvulkan.so.1');
  } catch (error) {
    // Found, and no module of Node.
    return (error as Error).message.includes('self-register');
  }
  return true;
}

/** The drivers that the Vulkan loader is told to use, if it is told. */
function driversNamed(): string[] {
  // eslint-disable-next-line no-restricted-properties -- where a driver lies is a property of the machine, as LD_LIBRARY_PATH
  const { VK_DRIVER_FILES, VK_ICD_FILENAMES } = process.env;
  return (VK_DRIVER_FILES || VK_ICD_FILENAMES || '').split(':').filter(Boolean);
}

function filesOf(folder: string): string[] {
  return existsSync(folder) ? readdirSync(folder) : [];
}
