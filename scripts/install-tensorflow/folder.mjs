// The folder of an installation is a link to a sibling that holds the files: replacing the link is one step of the file
// system, so whoever looks sees the old installation or the new one, whenever this is cut.
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  realpathSync,
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

/**
 * Removes the installation and what dead installers left.
 *
 * @param listed the files of the installation by its manifest; undefined where there is no manifest of one
 * @returns whether there was anything
 * @throws Error if what lies there is no installation
 */
export function uninstall(folder, listed) {
  const found = lookAt(folder);
  const name = target(folder);
  if (name) unlinkSync(folder);
  else if (found?.isDirectory()) removeListed(folder, listed);
  else if (found)
    throw new Error(
      `${folder} is a ${found.isSymbolicLink() ? `link to ${readlinkSync(folder)}` : 'file'} that npm run install:tensorflow did not make, so nothing was removed`,
    );
  if (name) remove(join(dirname(folder), name));
  removeDead(folder);
  return Boolean(found);
}

/** Removes from a real folder, an installation that was copied there, what its manifest lists. */
function removeListed(folder, listed) {
  if (!listed && readdirSync(folder).length > 0)
    throw new Error(`${folder} holds no manifest.json of an installation: it is none, so nothing was removed`);
  for (const path of [...(listed ?? []), 'manifest.json'].map((name) => resolve(folder, name))) {
    if (!isInside(folder, path)) continue;
    rmSync(path, { force: true });
    removeEmptyParents(folder, dirname(path));
  }
  if (existsSync(folder) && readdirSync(folder).length === 0) rmdirSync(folder);
}

/** Whether a path lies in the folder itself, and not where a link in it or `..` leads to. */
function isInside(folder, path) {
  if (!path.startsWith(`${folder}/`) || !existsSync(dirname(path))) return false;
  return `${realpathSync(dirname(path))}/`.startsWith(`${realpathSync(folder)}/`);
}

function removeEmptyParents(folder, from) {
  for (let at = from; at !== folder && readdirSync(at).length === 0; at = dirname(at)) rmdirSync(at);
}

/** Removes the siblings that no living installer of this machine writes, and nothing links to. */
function removeDead(folder) {
  const parent = dirname(folder);
  if (!existsSync(parent)) return;
  for (const name of readdirSync(parent)) {
    if (!isSibling(folder, name)) continue;
    const [, host, pid] = suffix.exec(name.slice(basename(folder).length));
    if (host === hostname() ? isAlive(Number(pid)) : !isOld(join(parent, name))) continue;
    // Only now: an installer that has ended may have put its folder in place a moment before.
    if (name !== target(folder)) remove(join(parent, name));
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
