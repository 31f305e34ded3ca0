import { createReadStream } from 'node:fs';

/**
 * The oldest glibc that has every symbol which some libraries ask for: the newest of the versions that they name. An addon needs
 * about the glibc that it was compiled with, whatever its library needs.
 *
 * @param paths ELF files
 * @returns for example `2.27`
 */
export async function neededGlibc(paths) {
  let newest = [2, 0];
  for (const path of paths)
    for await (const release of versionsIn(path))
      if (release[0] > newest[0] || (release[0] === newest[0] && release[1] > newest[1])) newest = release;
  return newest.join('.');
}

// Names of versions are strings that end in a zero: GLIBC_2.27. None is longer than the part of a block that is kept for the next.
const [prefix, kept] = [Buffer.from('\0GLIBC_'), 32];

async function* versionsIn(path) {
  let rest = Buffer.alloc(0);
  for await (const block of createReadStream(path, { highWaterMark: 1 << 22 })) {
    const bytes = Buffer.concat([rest, block]);
    for (let at = bytes.indexOf(prefix); at >= 0; at = bytes.indexOf(prefix, at + 1)) {
      const found = /^(\d+)\.(\d+)(?:\.\d+)?\0/.exec(bytes.toString('latin1', at + prefix.length, at + kept));
      if (found) yield [Number(found[1]), Number(found[2])];
    }
    rest = bytes.subarray(-kept);
  }
}
