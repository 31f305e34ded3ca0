// The peak of the resident set while a model is loaded, above the process and the weights as they are held; MiB.
// node libs/language-model/bench/load-peak.mjs MODEL [backend] [f32|bf16-mapped]   after a build
import { readFileSync } from 'node:fs';
import { loadModel } from '@surefoot/language-model';
import { heldBytes, openBackend } from '@surefoot/tensor';

const [model, name = 'tensorflow', weights = 'f32'] = process.argv.slice(2);
const mebibytes = (field) => {
  const kibibytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))[1];
  return Math.round(Number(kibibytes) / 1024);
};
const { kernelBuild } = await openBackend(name);
const before = mebibytes('VmRSS');
const loaded = await loadModel(model, { weights, trainable: false });
const held = Math.round(heldBytes() / 2 ** 20);
const [peak, form] = [mebibytes('VmHWM'), loaded.weights.form];
console.log(
  JSON.stringify({
    bench: 'load-peak',
    backend: name,
    build: kernelBuild,
    form,
    before,
    held,
    above: peak - before - held,
  }),
);
