// Run in a process of its own, since a broken library ends the process that loads it: opens TensorFlow by the product's own
// loader and multiplies two matrices whose product is known. Prints what it found as JSON.
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { openTensorflow } = require('../../libs/tensor/src/tensorflow/open-tensorflow.ts');
const tf = require('@tensorflow/tfjs');

const { backend } = await openTensorflow({ kernelBuild: 'plain' });
const product = await tf
  .tidy(() => tf.matMul(tf.tensor2d([1, 2, 3, 4], [2, 2]), tf.tensor2d([5, 6, 7, 8], [2, 2])))
  .data();
const large = await tf.tidy(() => tf.matMul(tf.ones([300, 500]), tf.fill([500, 200], 2))).data();
// 1·5 + 2·7 = 19, 1·6 + 2·8 = 22, 3·5 + 4·7 = 43, 3·6 + 4·8 = 50; 500 times 1·2 = 1000
if (product.join() !== '19,22,43,50' || !large.every((value) => value === 1000))
  throw new Error(`the product of two matrices is wrong: ${product.join()}, ${large[0]}`);
process.stdout.write(`${JSON.stringify(backend)}\n`);
