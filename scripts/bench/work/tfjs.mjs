// The TensorFlow.js that libs/tensor computes with.
import { createRequire } from 'node:module';

export const tf = createRequire(import.meta.resolve('@surefoot/tensor'))('@tensorflow/tfjs');
