import { expect, test } from '@jest/globals';
import * as tf from '@tensorflow/tfjs';
import { openBackend } from './index';
import './testing';

test('toBeAllclose tells the worst element, and lets only NaN equal NaN', () => {
  expect([1, NaN, Infinity]).toBeAllclose([1 + 1e-7, NaN, Infinity]);
  expect([1]).not.toBeAllclose([NaN]);
  expect([NaN]).not.toBeAllclose([1]);
  expect([1]).not.toBeAllclose([1, 1]);
  expect(() => expect([1, 5, 3]).toBeAllclose([1, 2, 4])).toThrow('2 of 3 elements differ; worst at 1: 5, expected 2');
});

test('toBeAllclose compares shapes of tensors', async () => {
  await openBackend('cpu');
  tf.tidy(() => expect(tf.ones([1, 2])).not.toBeAllclose(tf.ones([2, 1])));
});

test('toNotLeakTensors counts', async () => {
  await openBackend('cpu');
  const leaked: tf.Tensor[] = [];
  await expect(expect(() => leaked.push(tf.ones([1]))).toNotLeakTensors()).rejects.toThrow('1 tensors more');
  await expect(() => tf.ones([1]).dispose()).toNotLeakTensors();
  tf.dispose(leaked);
});
