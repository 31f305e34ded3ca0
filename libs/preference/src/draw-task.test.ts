import { describe, expect, test } from '@jest/globals';
import { randomStream } from '@surefoot/tensor';
import { builtinTask } from './builtin-task';
import { drawPreference, drawSentence, taskPrompt } from './draw-task';
import { goldScore } from './gold-score';

const task = builtinTask();

describe('drawSentence', () => {
  test('draws whole sentences: no slot is ever broken', () => {
    const random = randomStream(1, 'test');
    for (let i = 0; i < 500; i += 1) {
      const words = drawSentence(task, random, 'soup').split(' ');
      expect(words).toHaveLength(11);
      expect([words[1], words[2], words[3], words[6], words[10]]).toEqual(['the', 'soup', 'is', 'and', '.']);
    }
  });
  test('draws openers by their probabilities', () => {
    const random = randomStream(2, 'test');
    const n = 4000;
    const openers = Array.from({ length: n }, () => drawSentence(task, random, 'phone').split(' ')[0]);
    for (const { word, probability } of task.openers) {
      const share = openers.filter((opener) => opener === word).length / n;
      // Five standard errors.
      expect(Math.abs(share - probability)).toBeLessThan(5 * Math.sqrt((probability * (1 - probability)) / n));
    }
  });
  test('gives the same sentence for the same seed, and refuses an unknown item', () => {
    const draw = () => drawSentence(task, randomStream(3, 'test'), 'hotel');
    expect(draw()).toBe(draw());
    expect(() => drawSentence(task, randomStream(3), 'moon')).toThrow('no item moon');
  });
});

describe('drawPreference', () => {
  const prompt = taskPrompt(task, 'soup');
  const good = { text: 'sure the soup is quite crispy and quite fresh friend .', hasEos: true };
  const bad = { text: 'sure the soup is quite tasty and quite fresh friend .', hasEos: false };

  test('prefers by the Bradley–Terry probability at temperature .7', () => {
    // gold .9 + .8 + .5 = 2.2 against .6 + .8 + .5 - 1 = .9: sigmoid(1.3 / .7) = .8650
    expect(goldScore(task, prompt, good.text, true) - goldScore(task, prompt, bad.text, false)).toBeCloseTo(1.3, 12);
    const random = randomStream(4, 'test');
    const n = 4000;
    const wins = Array.from(
      { length: n },
      () => drawPreference(task, random, prompt, [bad, good]).chosen === good.text,
    );
    expect(wins.filter(Boolean).length / n).toBeCloseTo(0.865, 1);
  });
  test('says which response was cut off', () => {
    const pair = drawPreference(task, randomStream(5, 'test'), prompt, [good, bad]);
    expect(pair.chosenTruncated).toBe(pair.chosen === bad.text);
    expect(pair.rejectedTruncated).toBe(pair.rejected === bad.text);
  });
});
