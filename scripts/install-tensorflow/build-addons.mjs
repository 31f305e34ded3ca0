// Compiles tfjs-node's C++ and the addon that is loaded before it against the library in a folder.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { lastLines, runQuietly, say } from './processes.mjs';

// Node's binary interface for addons is 8, that of Node 12.22 and later.
const flags = {
  common: ['-O2', '-std=c++17', '-shared', '-fPIC', '-DNAPI_VERSION=8', '-DNODE_GYP_MODULE_NAME=tfjs_binding'],
  settings: ['-fvisibility=hidden'],
  binding: ['-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2', '-Wl,-rpath,$ORIGIN/tensorflow'],
};
const settingsSource = 'scripts/install-tensorflow/tensorflow-settings.cc';
const bindingSource = 'node_modules/@tensorflow/tfjs-node-gpu';

/** SHA-256 of what the addons are compiled from, and of how. */
export function hashOfSources(root) {
  const { name, version } = JSON.parse(readFileSync(join(root, bindingSource, 'package.json'), 'utf8'));
  return createHash('sha256')
    .update(JSON.stringify([name, version, flags]))
    .update(readFileSync(join(root, settingsSource)))
    .digest('hex');
}

/**
 * @param root the checkout, with node_modules
 * @param options.folder where `tensorflow/` lies and the addons go
 * @param options.headers TensorFlow's include folder
 */
export async function buildAddons(root, { compiler, folder, headers, names }) {
  const source = join(root, bindingSource);
  const nodeHeaders = join(root, 'node_modules/node-api-headers/include');
  if (!existsSync(join(source, 'binding')) || !existsSync(nodeHeaders))
    throw new Error('node_modules holds no @tensorflow/tfjs-node-gpu or no node-api-headers: run npm ci');
  const common = [...flags.common, `-I${nodeHeaders}`, `-I${headers}`];
  const compile = async (name, args) => {
    const { status, stderr } = await runQuietly(compiler, [...common, ...args, '-o', join(folder, name)]);
    if (status !== 0) throw new Error(`${compiler} could not compile ${name}:\n${lastLines(stderr, 12)}`);
  };
  say(`compiling the binding with ${compiler} …`);
  await compile(names.settings, [...flags.settings, join(root, settingsSource)]);
  const files = ['tfjs_backend.cc', 'tfjs_binding.cc'].map((file) => join(source, 'binding', file));
  await compile(names.binding, [`-I${source}`, ...files, `-L${join(folder, 'tensorflow')}`, ...flags.binding]);
}
