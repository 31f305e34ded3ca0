// The folder of an installation is a link to a sibling that holds the files: replacing the link is one step of the file
// system, so whoever looks sees the old installation or the new one, whenever this is cut.
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';

// A sibling's name says who writes it: FOLDER.HOST.PID.RANDOM.
const suffix = /^\.(.+)\.(\d+)\.[0-9a-f]{8}(\.link)?$/;
const ownSuffix = () => `.${hostname()}.${process.pid}.${randomBytes(4).toString('hex')}`;

/** Name of the sibling that the folder is a link to, or undefined. */
function target(folder) {
  if (!lstatSync(folder, { throwIfNoEntry: false })?.isSymbolicLink()) return undefined;
  const name = readlinkSync(folder);
  return isSibling(folder, name) ? name : undefined;
}

const isSibling = (folder, name) =>
  name.startsWith(basename(folder)) && suffix.test(name.slice(basename(folder).length));

/** @throws Error if there is something that this installer did not put there */
export function checkPlace(folder) {
  const found = lookAt(folder);
  if (!found || target(folder) || (found.isDirectory() && readdirSync(folder).length === 0)) return;
  const what = found.isSymbolicLink()
    ? `a link to ${readlinkSync(folder)}`
    : found.isDirectory()
      ? 'a folder'
      : 'a file';
  throw new Error(
    `${folder} is ${what} that npm run install:tensorflow did not make: remove it (--uninstall does, if an installation was copied there), or set SUREFOOT_TENSORFLOW_DIR to another place`,
  );
}

/** Makes an empty sibling to build in, after removing those of installers that are dead. */
export function beginBeside(folder) {
  const beside = `${folder}${ownSuffix()}`;
  try {
    mkdirSync(dirname(folder), { recursive: true });
    removeDead(folder);
    mkdirSync(beside);
  } catch (error) {
    throw cannotWrite(folder, error);
  }
  return beside;
}

function cannotWrite(folder, { message }) {
  const problem = `cannot write in ${dirname(folder)}: ${message}`;
  return new Error(`${problem}; set SUREFOOT_TENSORFLOW_DIR to a place that you may write`);
}

function lookAt(folder) {
  try {
    return lstatSync(folder, { throwIfNoEntry: false });
  } catch (error) {
    throw cannotWrite(folder, error); // a part of the path is a file, or forbidden
  }
}

/** Makes the folder a link to what was built beside it, and removes what it replaced. */
export function putInPlace(folder, beside) {
  const before = target(folder);
  const link = `${beside}.link`;
  symlinkSync(basename(beside), link);
  if (!before && existsSync(folder)) rmdirSync(folder); // an empty one, see checkPlace
  renameSync(link, folder);
  if (before) remove(join(dirname(folder), before));
}

/** Removes the installation and what dead installers left. @returns whether there was anything */
export function uninstall(folder) {
  const found = lstatSync(folder, { throwIfNoEntry: false });
  const name = target(folder);
  if (name || found?.isSymbolicLink())
    unlinkSync(folder); // of a link that somebody else made, only the link
  else if (found?.isDirectory()) removeListed(folder);
  else if (found) checkPlace(folder);
  if (name) remove(join(dirname(folder), name));
  removeDead(folder);
  return Boolean(found);
}

/** Removes from a real folder, an installation that was copied there, what its manifest lists. */
function removeListed(folder) {
  let manifest;
  try {
    manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
  } catch {
    if (readdirSync(folder).length > 0)
      throw new Error(`${folder} holds no manifest.json: it is not an installation, so nothing was removed`);
    manifest = { files: {} };
  }
  const paths = [...Object.keys(manifest.files), 'manifest.json'].map((path) => resolve(folder, path));
  for (const path of paths) if (path.startsWith(`${resolve(folder)}/`)) rmSync(path, { force: true });
  removeEmptyFolders(folder);
}

function removeEmptyFolders(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true }))
    if (entry.isDirectory()) removeEmptyFolders(join(folder, entry.name));
  if (readdirSync(folder).length === 0) rmdirSync(folder);
}

/** Removes the siblings that no living installer of this machine writes, and nothing links to. */
function removeDead(folder) {
  const parent = dirname(folder);
  if (!existsSync(parent)) return;
  for (const name of readdirSync(parent)) {
    if (!isSibling(folder, name) || name === target(folder)) continue;
    const [, host, pid] = suffix.exec(name.slice(basename(folder).length));
    if (host === hostname() ? !isAlive(Number(pid)) : isOld(join(parent, name))) remove(join(parent, name));
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Whether another machine, or a container, that shares this folder began it more than a day ago. */
const isOld = (path) => Date.now() - (lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()) > 86_400_000;

export const remove = (path) => rmSync(path, { recursive: true, force: true, maxRetries: 3 });
