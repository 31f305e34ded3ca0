// What decides which backends the tests run on, as an input of nx's cache (nx.json): results from before TensorFlow was installed,
// or from a machine without a WebGPU adapter, are not taken for results of now. Cheap: it looks at files and loads nothing.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

// As in libs/tensor/src/tensorflow/native-library.ts and libs/tensor/src/webgpu/inspect-webgpu.ts.
const { SUREFOOT_TENSORFLOW_DIR, XDG_CACHE_HOME, VK_DRIVER_FILES, VK_ICD_FILENAMES } = process.env;
const tensorflow = resolve(
  SUREFOOT_TENSORFLOW_DIR || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'surefoot', 'tensorflow'),
);
const manifest = join(tensorflow, 'manifest.json');
const drivers = (VK_DRIVER_FILES || VK_ICD_FILENAMES || '/usr/lib/chromium/vk_swiftshader_icd.json').split(':');
const cards = existsSync('/dev/dri') ? readdirSync('/dev/dri').filter((file) => file.startsWith('renderD')) : [];

const facts = {
  tensorflow: existsSync(manifest) && createHash('sha256').update(readFileSync(manifest)).digest('hex'),
  webgpu: existsSync(
    new URL(`../node_modules/webgpu/dist/${process.platform}-${process.arch}/dawn.node`, import.meta.url),
  ),
  drivers: drivers.filter((path) => existsSync(path)),
  cards: [...cards, ...['/dev/nvidia0', '/dev/dxg'].filter((path) => existsSync(path))],
  vulkan: hasVulkanLoader(),
};
process.stdout.write(`${JSON.stringify(facts)}\n`);

function hasVulkanLoader() {
  if (process.platform !== 'linux') return true;
  try {
    process.dlopen({ exports: {} }, 'libvulkan.so.1');
  } catch (error) {
    return error.message.includes('self-register');
  }
  return true;
}
