// What `npm run bench` may be told.
import { parseArgs } from 'node:util';
import { backendNames } from './backends.mjs';
import { partNames } from './measurements.mjs';

export const help = `What Surefoot takes on this machine: tables on stderr, JSON on stdout or in a file.

  npm run bench [-- flags]

Every backend that loads computes in a process of its own with one thread, and they take turns at each measurement; least and
median of n runs are shown. TensorFlow is also measured with two threads, wasm also with two Workers, where there are two cores.

  --json FILE           write the JSON there
  --only PART,…         ${partNames.join(', ')}; default all
  --backends NAME,…     ${backendNames.join(', ')}; default tensorflow, wasm, and webgpu where it is a GPU
  --quick               fewer repetitions, without 10M and without the run through the services
  --torch PYTHON        compare with PyTorch: a python that has torch and transformers (and trl 1.12.0 for TRL's PPO) …
  --torch-scripts DIR   … and a folder with bench.py (and trl_ppo.py); both flags or none
  --help

  npm run bench -- --quick --json bench.json
  npm run bench -- --only scoring,ppo --backends wasm
  npm run bench -- --only training --torch python3 --torch-scripts DIR
`;

/** @throws Error saying which flag is wrong and what it takes */
export function parseFlags(argv) {
  const options = {
    ...{ json: { type: 'string' }, only: { type: 'string' }, backends: { type: 'string' } },
    ...{ torch: { type: 'string' }, 'torch-scripts': { type: 'string' } },
    ...{ quick: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
  };
  const values = parsed(argv, options);
  const { torch: python, 'torch-scripts': scripts } = values;
  if ((python === undefined) !== (scripts === undefined))
    throw new Error('--torch PYTHON and --torch-scripts DIR belong together: give both or none');
  const only = list('--only', values.only, partNames);
  return {
    ...{ json: values.json, isQuick: values.quick, isHelp: values.help, torch: python && { python, scripts } },
    backends: list('--backends', values.backends, backendNames),
    parts: only ?? partNames.filter((part) => !(values.quick && part === 'run')),
  };
}

function parsed(argv, options) {
  try {
    return parseArgs({ args: argv, options }).values;
  } catch (error) {
    throw new Error(`${error.message.split('. ')[0]}; --help lists all flags`, { cause: error });
  }
}

function list(flag, text, allowed) {
  if (text === undefined) return undefined;
  const names = text.split(',').map((name) => name.trim());
  const wrong = names.find((name) => !allowed.includes(name));
  if (wrong !== undefined) throw new Error(`${flag} takes ${allowed.join(', ')}, separated by commas; got "${wrong}"`);
  return [...new Set(names)];
}
