import { bytes } from './lanes';
import { add } from './rows';

/** y[N, d] = table[ids]. The host has checked the ids: a wrong one would read anywhere on the heap. */
export function gatherRows(table: usize, ids: usize, y: usize, N: i32, d: i32): void {
  for (let i = 0; i < N; i++) {
    memory.copy(y, table + bytes(load<i32>(ids + bytes(i)) * d), bytes(d));
    y += bytes(d);
  }
}

/** y[N, d] += table[ids] */
export function addGatheredRows(table: usize, ids: usize, y: usize, N: i32, d: i32): void {
  for (let i = 0; i < N; i++) {
    add(y, table + bytes(load<i32>(ids + bytes(i)) * d), y, d);
    y += bytes(d);
  }
}

/** dtable[V, d] = sum of the rows of dy that used each row, in the order of N */
export function scatterRows(dtable: usize, ids: usize, dy: usize, N: i32, d: i32, V: i32): void {
  memory.fill(dtable, 0, bytes(V * d));
  for (let i = 0; i < N; i++) {
    const row = dtable + bytes(load<i32>(ids + bytes(i)) * d);
    add(row, dy, row, d);
    dy += bytes(d);
  }
}
