import { spawnSync } from 'node:child_process';

/** A program that installing native TensorFlow needs and this machine does not have. */
export interface MissingTool {
  tool: 'python3' | 'pip' | 'C++ compiler';
  /** What to do about it. */
  cure: string;
}

const compilers = ['g++', 'c++', 'clang++'];

/** What `npm run install:tensorflow` would miss here; takes a second, since it starts each program once. */
export function missingInstallTools(): MissingTool[] {
  const missing: MissingTool[] = [];
  if (!runs('python3', ['--version']))
    missing.push({
      tool: 'python3',
      cure: 'apt-get install python3 python3-pip (Debian, Ubuntu) or dnf install python3-pip (Fedora, RHEL)',
    });
  else if (!runs('python3', ['-m', 'pip', '--version']))
    missing.push({
      tool: 'pip',
      cure: 'apt-get install python3-pip (Debian, Ubuntu) or dnf install python3-pip (Fedora, RHEL), or name the folder of a Python TensorFlow with --from',
    });
  if (!compiler())
    missing.push({
      tool: 'C++ compiler',
      cure: 'apt-get install g++ (Debian, Ubuntu) or dnf install gcc-c++ (Fedora, RHEL), or set CXX',
    });
  return missing;
}

/** The C++ compiler to use: the one that the environment's CXX names, else the first that runs. */
export function compiler(): string | undefined {
  // eslint-disable-next-line no-restricted-properties -- CXX names a compiler for every build on this machine
  const { CXX } = process.env;
  return (CXX ? [CXX] : compilers).find((program) => runs(program, ['--version']));
}

function runs(program: string, args: string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0;
}
