import type { AttentionHeads } from './kernels';

/**
 * Attention of one sequence as its formula reads, a number at a time in float64: the oracle of the tests.
 *
 * @param packed [T, (heads + 2 keyHeads) · W]
 * @returns [T, heads · W]
 */
export function naiveAttention(packed: ArrayLike<number>, shape: AttentionHeads): Float64Array {
  const { heads, keyHeads, headWidth, scale, softCap, window = Infinity } = shape;
  const stride = (heads + 2 * keyHeads) * headWidth;
  const length = packed.length / stride;
  const out = new Float64Array(length * heads * headWidth);
  for (let t = 0; t < length; t++)
    for (let head = 0; head < heads; head++) {
      const keyHead = Math.floor((head * keyHeads) / heads);
      const at = (row: number, part: number, z: number) => packed[row * stride + part * headWidth + z]!;
      const seen = Array.from({ length: t + 1 }, (_, j) => j).filter((j) => t - j < window);
      const weights = seen.map((j) => {
        let score = 0;
        for (let z = 0; z < headWidth; z++) score += at(t, head, z) * at(j, heads + keyHead, z);
        score *= scale;
        return Math.exp(softCap === undefined ? score : softCap * Math.tanh(score / softCap));
      });
      const sum = weights.reduce((a, b) => a + b);
      for (let z = 0; z < headWidth; z++)
        out[(t * heads + head) * headWidth + z] = seen.reduce(
          (total, j, i) => total + (weights[i]! / sum) * at(j, heads + keyHeads + keyHead, z),
          0,
        );
    }
  return out;
}
