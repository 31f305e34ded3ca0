// Compiles kernels/index.ts to gen/kernels-{simd,relaxed-simd}.wasm.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import asc from 'assemblyscript/asc';

const here = dirname(fileURLToPath(import.meta.url));
const builds = { simd: ['simd'], 'relaxed-simd': ['simd', 'relaxed-simd'] };

await mkdir(join(here, 'gen'), { recursive: true });
for (const [name, features] of Object.entries(builds)) {
  const { wasm, wat } = await compile(features);
  // Static data would be copied over the memory of TensorFlow.js when the module starts.
  if (wat.includes('(data')) throw new Error(`kernels-${name}.wasm holds static data`);
  await writeFile(join(here, 'gen', `kernels-${name}.wasm`), wasm);
}

/** The module as `wasm`, its text form as `wat`. */
async function compile(features) {
  const built = {};
  const { error, stderr } = await asc.main(
    [
      ...['index.ts', '--baseDir', join(here, 'kernels'), '--outFile', 'wasm', '--textFile', 'wat'],
      ...['--runtime', 'stub', '--importMemory', '--noExportMemory', '--initialMemory', '1', '--noAssert'],
      ...['-O3', '--converge', ...features.flatMap((feature) => ['--enable', feature])],
    ],
    { writeFile: (file, contents) => void (built[file] = contents) },
  );
  if (error) throw new Error(`${error.message}\n${stderr}`);
  return built;
}
