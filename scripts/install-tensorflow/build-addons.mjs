// Compiles tfjs-node's C++ and the addon that is loaded before it against the library in a folder.
import { join } from 'node:path';
import { existsSync } from 'node:fs';
import { lastLines, runQuietly, say } from './processes.mjs';

/** Node's binary interface for addons; 8 is that of Node 12.22 and later. */
export const nodeApi = 8;

/**
 * @param root the checkout, with node_modules
 * @param options.folder where `tensorflow/` lies and the addons go
 * @param options.headers TensorFlow's include folder
 */
export async function buildAddons(root, { compiler, folder, headers, names }) {
  const source = join(root, 'node_modules/@tensorflow/tfjs-node-gpu');
  const nodeHeaders = join(root, 'node_modules/node-api-headers/include');
  if (!existsSync(join(source, 'binding')) || !existsSync(nodeHeaders))
    throw new Error('node_modules holds no @tensorflow/tfjs-node-gpu or no node-api-headers: run npm ci');
  const common = [
    '-O2',
    '-std=c++17',
    '-shared',
    '-fPIC',
    `-DNAPI_VERSION=${nodeApi}`,
    '-DNODE_GYP_MODULE_NAME=tfjs_binding',
  ];
  common.push(`-I${nodeHeaders}`, `-I${headers}`);
  const compile = async (name, args) => {
    const { status, stderr } = await runQuietly(compiler, [...common, ...args, '-o', join(folder, name)]);
    if (status !== 0) throw new Error(`${compiler} could not compile ${name}:\n${lastLines(stderr, 12)}`);
  };
  say(`compiling the binding with ${compiler} …`);
  await compile(names.settings, [
    '-fvisibility=hidden',
    join(root, 'scripts/install-tensorflow/tensorflow-settings.cc'),
  ]);
  const libraries = ['-l:libtensorflow_cc.so.2', '-l:libtensorflow_framework.so.2', '-Wl,-rpath,$ORIGIN/tensorflow'];
  const files = ['tfjs_backend.cc', 'tfjs_binding.cc'].map((file) => join(source, 'binding', file));
  await compile(names.binding, [`-I${source}`, ...files, `-L${join(folder, 'tensorflow')}`, ...libraries]);
}
