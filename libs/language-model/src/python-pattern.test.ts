import { describe, expect, test } from '@jest/globals';
import { nameMatcher } from './python-pattern';

const matches = (pattern: string, text: string) => nameMatcher([text])(pattern, 'test').has(text);

describe('patterns match as in Python', () => {
  // Third column: re.fullmatch of Python 3.11.
  test.each([
    ['.*\\.(q|v)_proj', 'model.layers.0.self_attn.q_proj', true],
    ['q_proj', 'model.layers.0.self_attn.q_proj', false],
    ['^(?!.*vision).*(?:q_proj|v_proj)$', 'model.vision.layers.0.q_proj', false],
    ['^(?!.*vision).*(?:q_proj|v_proj)$', 'model.text.layers.0.q_proj', true],
    ['model\\.layers\\.(1[0-9]|2[0-3])\\..*', 'model.layers.17.mlp.up_proj', true],
    ['model\\.layers\\.(1[0-9]|2[0-3])\\..*', 'model.layers.24.mlp.up_proj', false],
    ['model\\.layers\\.\\d{2}\\.mlp\\.[^.]+', 'model.layers.12.mlp.up_proj', true],
    ['model\\.layers\\.\\d{2,}?\\.mlp\\.[^.]+', 'model.layers.1.mlp.up_proj', false],
    ['(?P<a>model).*(?<=mlp)\\.up_proj', 'model.layers.1.mlp.up_proj', true],
    ['(?P<a>model).*(?<!mlp)\\.up_proj', 'model.layers.1.mlp.up_proj', false],
    ['(?i)MODEL.*UP_proj', 'model.layers.1.mlp.up_proj', true],
    ['(?i)MODEL.*UP_prox', 'model.layers.1.mlp.up_proj', false],
    ['\\Amodel.*\\Z', 'model.layers', true],
    ['model.*\\bmlp\\b.*', 'model.layers.1.mlp.up_proj', true],
    ['model.*\\bup\\b.*', 'model.layers.1.mlp.up_proj', false],
    ['[]a-c-]+', 'a-]b', true],
    ['[^\\W\\d_]+', 'abc', true],
    ['[^\\W\\d_]+', 'ab_c', false],
    ['a{2}{', 'aa{', true],
    ['a{,2}b', 'aab', true],
    ['a{,2}b', 'aaab', false],
    ['x{}', 'x{}', true],
    ['(a|ab)(c|bcd)(d*)', 'abcd', true],
    ['(?:a?){3}a{3}', 'aaa', true],
    ['(a*)*b', 'aaab', true],
    ['(?#note)a\\x62\\u0063', 'abc', true],
    ['|a', '', true],
    ['a||b', 'b', true],
    ['(?sa)a.c', 'abc', true],
    ['a\\-b\\_c[\\-\\_]', 'a-b_c_', true],
    ['a{,}b', 'aaab', true],
    ['[^]a]b[[]', 'cb[', true],
    ['a]', 'a]', true],
  ])('%j, %j: %j', (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected);
  });

  test.each(['*a', 'a**', '(a', 'a)', '[b-a]', '[a', '[]', '[^]', '\\y', 'a\\', 'a{3,2}', '^*'])(
    '%j is a syntax error, as there',
    (pattern) => {
      expect(() => matches(pattern, 'a')).toThrow(/^test: pattern ".*" cannot be used: \w/);
    },
  );

  test.each([
    ...[
      ['(a)\\1', '\\1'],
      ['(?P<a>a)(?P=a)', '(?P'],
      ['(a)?(?(1)b|c)', '(?('],
      ['(?>a)', '(?>'],
      ['(?x)a', '(?x'],
    ],
    ...[
      ['(?i:a)', '(?i'],
      ['a(?i)b', '(?i'],
      ['(?<a>a)', '(?<'],
      ['\\pL', '\\p'],
      ['\\cA', '\\c'],
    ],
  ])('%j is refused by name', (pattern, what) => {
    expect(() => matches(pattern!, 'a')).toThrow(
      new RegExp(`has .*${what!.replace(/[\\(?]/g, '\\$&')}, which is not supported here`),
    );
  });
});

describe('no pattern takes for ever', () => {
  test('what tries its choices for ages is interrupted, by name', () => {
    const match = nameMatcher([`${'a'.repeat(60)}!`], 100);
    for (const pattern of ['(a+)+', '((a{0,50}){0,50}){0,50}'])
      expect(() => match(pattern, 'test')).toThrow(
        `test: pattern "${pattern}" takes longer than 100 ms to match: write it simpler, or list the modules`,
      );
  });

  test('nor does one that is long or deep', () => {
    expect(() => matches('a'.repeat(2001), 'a')).toThrow('has 2001 characters, 2000 are supported');
    expect(matches(`${'('.repeat(990)}a${')'.repeat(990)}`, 'a')).toBe(true);
    expect(() => matches('('.repeat(2000), 'a')).toThrow('cannot be used: ');
  });
});
