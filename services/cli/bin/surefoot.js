#!/usr/bin/env node
// Plain JavaScript, committed: in a checkout it builds what is not built yet, then runs the command line from dist.
'use strict';
const { spawnSync } = require('node:child_process');
const { existsSync, readdirSync } = require('node:fs');
const { join, resolve } = require('node:path');

const root = resolve(__dirname, '../../..');

function isBuilt() {
  const projects = ['libs', 'services'].flatMap((folder) =>
    readdirSync(join(root, folder)).map((name) => join(root, folder, name)),
  );
  return [join(root, 'proto'), ...projects]
    .filter((project) => existsSync(join(project, 'tsconfig.json')))
    .every((project) => existsSync(join(project, 'dist', 'tsconfig.tsbuildinfo')));
}

function build() {
  process.stderr.write('surefoot: building (this happens once) …\n');
  const args = [join(root, 'node_modules/nx/dist/bin/nx.js'), 'run-many', '-t', 'build', '--outputStyle=static'];
  const { status } = spawnSync(process.execPath, args, {
    cwd: root,
    env: { ...process.env, NX_DAEMON: 'false', NX_TUI: 'false', NX_NO_CLOUD: 'true' },
    stdio: ['ignore', 2, 2],
  });
  if (status === 0) return;
  process.stderr.write('surefoot: the build failed: see above; run `npm ci` first where packages are missing\n');
  process.exit(1);
}

// An image holds dist without sources: nothing to build there.
if (existsSync(join(root, 'nx.json')) && !isBuilt()) build();
require('../dist/main.js');
