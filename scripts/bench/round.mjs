/** To two decimals, or three digits where that is less. */
export function round(x) {
  return Math.abs(x) >= 1 ? Math.round(x * 100) / 100 : Number(x.toPrecision(3));
}
