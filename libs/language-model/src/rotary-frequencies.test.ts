import { describe, expect, test } from '@jest/globals';
import { openBackend, rotaryAngles } from '@surefoot/tensor';
import '@surefoot/tensor/testing';
import * as tf from '@tensorflow/tfjs';
import { rotaryFrequencies } from './rotary-frequencies';

// Bits of torch 2.15.0 on a CPU: 1.0 / (theta ** (torch.arange(0, W, 2, dtype=torch.float) / W)) and transformers 5.23 on it.
const bits = (values: Float32Array) => [...new Uint32Array(values.buffer, values.byteOffset, values.length)];

describe('rotaryFrequencies', () => {
  test('are those of the reference to the bit', () => {
    expect(bits(rotaryFrequencies({ theta: 10000 }, 12))).toEqual([
      1065353216, 1046256949, 1027481237, 1008981770, 990720361, 972249692,
    ]);
    expect(bits(rotaryFrequencies({ theta: 500000 }, 24))).toEqual([
      1065353216, 1051429188, 1038475605, 1025116360, 1011772649, 998920562, 985226529, 972581176, 958821238, 945754308,
      932542418, 919096917,
    ]);
    expect(bits(rotaryFrequencies({ theta: 10000, scaling: { type: 'linear', factor: 3 } }, 12))).toEqual([
      1051372203, 1033048953, 1014857244, 995783693, 977027553, 958544957,
    ]);
    const llama3 = { type: 'llama3', factor: 8, lowFactor: 1, highFactor: 4, originalPositions: 64 } as const;
    expect(bits(rotaryFrequencies({ theta: 500000, scaling: llama3 }, 32))).toEqual([
      1065353216, 1054963644, 1034067468, 1009706157, 999950536, 990357955, 980350799, 970094368, 960060705, 950223245,
      940558584, 930956739, 920588484, 910456336, 900532135, 890791079,
    ]);
  });

  test('angles at far positions are those of the reference', async () => {
    await openBackend('cpu');
    const angles = rotaryAngles(Int32Array.of(1, 100, 4095, 8191), rotaryFrequencies({ theta: 10000 }, 12));
    expect(angles.cosines.dataSync()).toBeAllclose(
      [
        0.54030234, 0.97688168, 0.99892294, 0.99994999, 0.99999768, 0.99999988, 0.86231887, -0.9018324, -0.07074163,
        0.54030234, 0.97688168, 0.99892294, -0.06597599, -0.85428119, -0.00668823, -0.9940331, -0.82399547, -0.32398108,
        -0.6463905, 0.63884085, -0.99821287, 0.97398758, 0.35994706, -0.78978789,
      ],
      { atol: 2e-7, rtol: 0 },
    );
    expect(angles.sines.dataSync()).toBeAllclose(
      [
        0.84147096, 0.21378064, 0.04639922, 0.00999983, 0.00215443, 0.00046416, -0.50636566, 0.43208605, -0.99749464,
        0.84147096, 0.21378063, 0.04639923, -0.99782121, 0.51981115, 0.99997765, -0.10907879, 0.56659633, 0.94606358,
        -0.76300681, -0.76933891, -0.05975818, 0.22660154, -0.93297273, -0.61338007,
      ],
      { atol: 2e-7, rtol: 0 },
    );
    tf.dispose([angles.cosines, angles.sines]);
  });
});
