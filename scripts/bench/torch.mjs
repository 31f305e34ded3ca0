// PyTorch scripts beside our own figures: `bench.py THREADS PART…` and `trl_ppo.py THREADS`, which print a JSON line a figure.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/**
 * A runner of the scripts.
 *
 * @throws Error if python has no torch, or the folder no bench.py
 */
export function findTorch(python, folder, say) {
  if (!existsSync(join(folder, 'bench.py'))) throw new Error(`--torch-scripts: ${folder} has no bench.py`);
  const { stdout, stderr, error, status } = spawnSync(python, ['-c', 'import torch; print(torch.__version__)'], {
    encoding: 'utf8',
  });
  if (error) throw new Error(`--torch: cannot run ${python}: ${error.message}`);
  if (status !== 0)
    throw new Error(`--torch: ${python} cannot import torch (${lastLine(stderr)}): pip install torch transformers`);
  const hasTrl = existsSync(join(folder, 'trl_ppo.py')) && canImport(python, 'trl.experimental.ppo');
  if (!hasTrl)
    say('TRL: left out, it needs trl_ppo.py in the folder of scripts and a trl with experimental.ppo (1.12.0)');
  return {
    version: stdout.trim(),
    /** Runs a script on one thread; @returns its lines, none where it fails, which is said. */
    async lines({ script, part, env = {} }) {
      if (script === 'trl_ppo.py' && !hasTrl) return [];
      const { status: ended, output, errors } = await runScript(python, [join(folder, script), '1', part], env);
      if (ended !== 0) say(`${script} ${part ?? ''} failed: ${lastLine(errors)}`);
      return output.split('\n').flatMap(parsed);
    },
  };
}

function canImport(python, module) {
  return spawnSync(python, ['-c', `import ${module}`], { stdio: 'ignore' }).status === 0;
}

function runScript(python, args, env) {
  const child = spawn(python, args.filter(Boolean), {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [output, errors] = [child.stdout, child.stderr].map((stream) => {
    const chunks = [];
    stream.on('data', (chunk) => chunks.push(chunk));
    return () => Buffer.concat(chunks).toString();
  });
  return new Promise((resolve) =>
    child.on('close', (status) => resolve({ status, output: output(), errors: errors() })),
  );
}

/** TRL prints lines of its own between the figures. */
function parsed(line) {
  try {
    return line.startsWith('{') ? [JSON.parse(line)] : [];
  } catch {
    return [];
  }
}

function lastLine(text) {
  return text.trim().split('\n').at(-1);
}
