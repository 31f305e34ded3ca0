// Matrix product by the blocking of BLIS (Van Zee and van de Geijn 2015): panels of B and A are packed, tiles stay in registers.

import { bytes } from './lanes';
import { packAdjacent, packApart } from './pack';
import { blockColumns, blockDepth, blockRows, edgeTile, packedA, packedB, tileColumns, tileRows } from './scratch';
import { tile4, tile6 } from './tile';

/**
 * c[M, N] = initial + op(a) op(b), op(x) = x or its transpose.
 *
 * A row's bits depend on the row alone, neither on M nor on where the row stands: every element starts from its initial value
 * and takes its products in the order of k, in whole tiles and at the edges alike.
 *
 * @param aStride, bStride, cStride, initialStride floats between rows as stored; initialStride 0 repeats one row (a bias)
 * @param initial 0 for zeros; c itself accumulates
 */
export function matmul(
  transposeA: bool,
  transposeB: bool,
  M: i32,
  N: i32,
  K: i32,
  a: usize,
  aStride: i32,
  b: usize,
  bStride: i32,
  c: usize,
  cStride: i32,
  initial: usize,
  initialStride: i32,
): void {
  const aRow = bytes(aStride);
  const bRow = bytes(bStride);
  const cRow = bytes(cStride);
  const initialRow = bytes(initialStride);
  for (let column = 0; column < N; column += blockColumns) {
    const columns = min(blockColumns, N - column);
    for (let k = 0; k < K; k += blockDepth) {
      const depth = min(blockDepth, K - k);
      if (transposeB) packApart(b + <usize>column * bRow + bytes(k), bRow, columns, depth, packedB(), tileColumns);
      else packAdjacent(b + <usize>k * bRow + bytes(column), bRow, columns, depth, packedB(), tileColumns);
      for (let row = 0; row < M; row += blockRows) {
        const rows = min(blockRows, M - row);
        if (transposeA) packAdjacent(a + <usize>k * aRow + bytes(row), aRow, rows, depth, packedA(), tileRows);
        else packApart(a + <usize>row * aRow + bytes(k), aRow, rows, depth, packedA(), tileRows);
        const block = c + <usize>row * cRow + bytes(column);
        if (k > 0) multiplyBlock(rows, columns, depth, block, cRow, block, cRow);
        else if (initial == 0) multiplyBlock(rows, columns, depth, block, cRow, 0, 0);
        else {
          const first = initial + <usize>row * initialRow + bytes(column);
          multiplyBlock(rows, columns, depth, block, cRow, first, initialRow);
        }
      }
    }
  }
}

/** The packed panels' product; strides in bytes. */
function multiplyBlock(
  rows: i32,
  columns: i32,
  depth: i32,
  c: usize,
  cRow: usize,
  initial: usize,
  initialRow: usize,
): void {
  let b = packedB();
  for (let column = 0; column < columns; column += tileColumns) {
    const width = min(tileColumns, columns - column);
    let a = packedA();
    let result = c + bytes(column);
    let first = initial ? initial + bytes(column) : 0;
    for (let row = 0; row < rows; row += tileRows) {
      const height = min(tileRows, rows - row);
      if (height == tileRows && width == tileColumns) multiplyTile(depth, a, b, result, cRow, first, initialRow);
      else multiplyEdge(height, width, depth, a, b, result, cRow, first, initialRow);
      a += bytes(depth * tileRows);
      result += cRow * tileRows;
      if (first) first += initialRow * tileRows;
    }
    b += bytes(depth * tileColumns);
  }
}

function multiplyTile(depth: i32, a: usize, b: usize, c: usize, cRow: usize, initial: usize, initialRow: usize): void {
  if (ASC_FEATURE_RELAXED_SIMD) tile6(depth, a, b, c, cRow, initial, initialRow);
  else tile4(depth, a, b, c, cRow, initial, initialRow);
}

/**
 * A tile that sticks out of the matrix is computed in scratch. The initial values go there first: added afterwards they would
 * round differently than in a whole tile, and a row's bits would depend on its neighbours.
 */
function multiplyEdge(
  height: i32,
  width: i32,
  depth: i32,
  a: usize,
  b: usize,
  c: usize,
  cRow: usize,
  initial: usize,
  initialRow: usize,
): void {
  const tile = edgeTile();
  const tileRow = bytes(tileColumns);
  if (initial) copyElements(height, width, initial, initialRow, tile, tileRow);
  multiplyTile(depth, a, b, tile, tileRow, initial ? tile : 0, tileRow);
  copyElements(height, width, tile, tileRow, c, cRow);
}

function copyElements(rows: i32, columns: i32, from: usize, fromRow: usize, to: usize, toRow: usize): void {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) store<f32>(to + bytes(column), load<f32>(from + bytes(column)));
    from += fromRow;
    to += toRow;
  }
}
