import { describe, expect, test } from '@jest/globals';
import { patternCompiler } from './python-pattern';

const matches = (pattern: string, text: string) => patternCompiler()(pattern, 'test')(text);

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
    ['(?i:MODEL).*UP_proj', 'model.layers.1.mlp.up_proj', false],
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
    ['a.c', 'a\nc', false],
    ['(?s)a.c', 'a\nc', true],
  ])('%j, %j: %j', (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected);
  });

  test.each(['*a', 'a**', '(a', 'a)', '[b-a]', '[a', '\\y', 'a\\', 'a{3,2}', '^*', '(?<a)', 'a(?i)b'])(
    '%j is a syntax error, as there',
    (pattern) => {
      expect(() => matches(pattern, 'a')).toThrow(/^test: pattern ".*" (has|repeats|ends)/);
    },
  );

  test.each(['(a)\\1', '(?P<a>a)(?P=a)', '(a)?(?(1)b|c)', '(?>a)', 'a*+', '(?x)a'])('%j is refused', (pattern) => {
    expect(() => matches(pattern, 'a')).toThrow('is not supported here');
  });
});

describe('no pattern takes for ever', () => {
  const text = `${'a'.repeat(60)}!`;

  test.each(['(a+)+', '(a|a)*', '(a|aa)+', '(.*)*(.*)*(.*)*b', '((a{0,50}){0,50}){0,50}', '(?:(?:a*)*)*\\d'])(
    '%j is decided at once',
    (pattern) => {
      expect(matches(pattern, text)).toBe(false);
    },
  );

  test('one that asks for too much work is refused, and so is what follows it', () => {
    const compile = patternCompiler(10_000);
    const greedy = compile('(.*){40}'.repeat(20), 'test');
    expect(() => greedy(text)).toThrow('takes too long to match');
    expect(() => compile('a', 'test')('a')).toThrow('takes too long to match');
  });

  test('nor does one that is long or deep', () => {
    expect(() => matches('a'.repeat(2001), 'a')).toThrow('has 2001 characters, 2000 are supported');
    expect(() => matches(`${'('.repeat(60)}a${')'.repeat(60)}`, 'a')).toThrow('more than 50 nested groups');
    expect(() => matches('('.repeat(2000), 'a')).toThrow('more than 50 nested groups');
  });
});
