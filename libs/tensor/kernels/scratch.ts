// Memory of our own on the shared heap, given once by the host.
// Layout: an edge tile of the product | packed panels of B | packed panels of A.

/** Rows of a tile of the product. 6 x 8 needs 15 registers of 16, which only multiply-add leaves free. */
export const tileRows: i32 = ASC_FEATURE_RELAXED_SIMD ? 6 : 4;
/** Columns of a tile: two vectors. */
export const tileColumns: i32 = 8;
/** Blocks that stay in cache: a depth x columns block of B in L2, a rows x depth block of A beside the tile's panel in L1/L2. */
export const blockDepth: i32 = 256;
export const blockColumns: i32 = 512;
export const blockRows: i32 = 96;

const tileBytes: usize = 256;
const packedBBytes: usize = (<usize>(blockDepth * blockColumns)) << 2;
const packedABytes: usize = (<usize>(blockDepth * blockRows)) << 2;

let base: usize = 0;

/** Bytes that `useScratch` must be given, aligned to 16. */
export function scratchBytes(): usize {
  return tileBytes + packedBBytes + packedABytes;
}

export function useScratch(address: usize): void {
  base = address;
}

export function edgeTile(): usize {
  return base;
}

export function packedB(): usize {
  return base + tileBytes;
}

export function packedA(): usize {
  return base + tileBytes + packedBBytes;
}
