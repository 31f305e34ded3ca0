import util from 'node:util';

/**
 * Gives `util` two functions that tfjs-node 4.22 calls (tfjs#8609): Node 23 removed them, and Node 22 warns of them.
 *
 * They are put into the module that every `require('util')` of the process returns, before tfjs-node is loaded.
 */
export function restoreRemovedUtilities(): void {
  Object.assign(util, {
    isNullOrUndefined: (value: unknown) => value === null || value === undefined,
    isArray: Array.isArray,
  });
}
