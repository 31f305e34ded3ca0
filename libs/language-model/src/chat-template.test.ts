import { describe, expect, test } from '@jest/globals';
import { compileChatTemplate, type ChatMessage } from './chat-template';

const render = (template: string, messages: ChatMessage[], addGenerationPrompt = false) =>
  compileChatTemplate(template, { bos_token: '<s>', eos_token: '</s>' }, 'template')(messages, addGenerationPrompt);
const user = (content: string) => ({ role: 'user', content });
const said = (content: string) => ({ role: 'assistant', content });
const system = (content: string) => ({ role: 'system', content });

// Constructs of the widely used families, in templates written for these tests; the texts are what jinja2 3.1.6 gives.
describe('templates as model families have them', () => {
  test('that know no system role and rename the assistant', () => {
    const template = `{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system turns here') }}{% endif %}
{%- for message in messages %}
  {%- set role = 'model' if message['role'] == 'assistant' else message['role'] %}
  {{- '[' + role + ']\\n' + message['content'] | trim + '[end]\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '[model]\\n' }}{%- endif %}`;
    expect(render(template, [user(' hi '), said('yes'), user('why')], true)).toBe(
      '<s>[user]\nhi[end]\n[model]\nyes[end]\n[user]\nwhy[end]\n[model]\n',
    );
    expect(() => render(template, [system('s'), user('hi')])).toThrow(
      'template refuses the conversation: no system turns here',
    );
  });

  test('that insist on turns in alternation', () => {
    const template = `{%- set ns = namespace(first=true, turns=0) %}
{%- if messages[0]['role'] == 'system' %}
  {%- set system = messages[0]['content'] %}
  {%- set loop_messages = messages[1:] %}
{%- else %}
  {%- set loop_messages = messages %}
{%- endif %}
{%- for m in loop_messages %}
  {%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}
    {{- raise_exception('turns must alternate: ' ~ loop.index) }}
  {%- endif %}
  {%- if m.role == 'user' %}
    {{- '(q)' }}
    {%- if system is defined and ns.first %}{{ system ~ '|' }}{%- set ns.first = false %}{%- endif %}
    {{- m.content ~ '(/q)' }}
  {%- else %}
    {{- ' ' ~ m.content ~ eos_token }}
  {%- endif %}
  {%- set ns.turns = ns.turns + 1 %}
{%- endfor %}{{ ns.turns }}`;
    expect(render(template, [system('s'), user('a'), said('b'), user('c')])).toBe('(q)s|a(/q) b</s>(q)c(/q)3');
    expect(() => render(template, [user('a'), user('b')])).toThrow('turns must alternate: 2');
  });

  test('that fill in a system turn, and tell none from empty', () => {
    const template = `{%- if messages[0].role != 'system' %}{{- '<sys>default</sys>' }}{%- endif %}
{%- for m in messages %}{{- '<' + m.role + '>' + m.content + '</' + m['role'] + '>' }}{%- endfor %}
{%- if tools %}{{ 'tools' }}{%- endif %}{%- if documents is not none %}{{ 'documents' }}{%- endif %}`;
    expect(render(template, [user('a')])).toBe('<sys>default</sys><user>a</user>');
    expect(render(template, [system(''), user('a')])).toBe('<system></system><user>a</user>');
  });

  test('that write the date, unless they are given one', () => {
    const template = `{%- if not date_string is defined %}
  {%- if strftime_now is defined %}{%- set date_string = strftime_now("%d %b %Y") %}
  {%- else %}{%- set date_string = "26 Jul 2024" %}{%- endif %}
{%- endif %}{{ date_string }}|{{ strftime_now("%Y-%m-%d %H:%M:%S %y %j %I %p %a %A %B %% %Q") }}`;
    const [date, rest] = render(template, []).split('|');
    expect(date).toMatch(/^\d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) 20\d\d$/);
    expect(rest).toMatch(
      /^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d \d\d \d{3} \d\d [AP]M [A-Z][a-z]{2} [A-Z]\w+day [A-Z]\w+ % %Q$/,
    );
  });

  test('that mark what the assistant said, and leave loops early', () => {
    const template = `{%- for m in messages %}
  {%- if m.role == 'tool' %}{%- continue %}{%- endif %}
  {%- if m.content == 'stop' %}{%- break %}{%- endif %}
  {%- if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{%- else %}{{ m.content }};{%- endif %}
{%- else %}nothing{%- endfor %}`;
    const messages = [user('a'), { role: 'tool', content: 'x' }, said('b'), user('stop'), user('c')];
    expect(render(template, messages)).toBe('a;b');
    expect(render(template, [])).toBe('nothing');
  });

  test('that call macros, and write JSON as Python does', () => {
    const template = `{%- macro turn(role, text, end='.') -%}{{ role | upper }}: {{ text }}{{ end }}{%- endmacro -%}
{{ turn('user', messages[0].content) }}{{ turn('x', 'y', end='!') }}{{ messages | tojson }}{{ {'a': [1, 2.5, true, none], 'é': '"<'} | tojson }}
{{- messages | map(attribute='role') | join(',') }}{{ messages | selectattr('role', 'equalto', 'user') | list | length }}`;
    expect(render(template, [user('a'), said('b')])).toBe(
      'USER: a.X: y![{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]' +
        '{"a": [1, 2.5, true, null], "é": "\\"<"}user,assistant1',
    );
  });

  test('in which a variable that nobody has set is empty', () => {
    expect(render('[{{ nobody }}]{% if nobody %}a{% else %}b{% endif %}{{ nobody.name }}', [])).toBe('[]b');
  });
});

describe('a template that goes beyond bounds is refused', () => {
  const inner = (body: string) =>
    '{% for a in range(90000) %}{% for b in range(90000) %}' + body + '{% endfor %}{% endfor %}';
  const doubling = (start: string, step: string, end: string) => start + step.repeat(64) + end;
  test.each([
    ['loops within loops', inner('{% set x = 1 %}'), 'too many steps'],
    ['empty loops within loops', inner(''), 'too many steps'],
    ['a range of a milliard', '{% for a in range(10**9) %}{% endfor %}', 'range gives at most 100000'],
    ['a range without end', '{{ range(0, 10, 0.0001) }}', 'range takes whole numbers'],
    ['text that doubles', doubling('{% set x = "ab" %}', '{% set x = x ~ x %}', '{{ x }}'), 'a text of more than'],
    ['a list that doubles', doubling('{% set x = [1] %}', '{% set x = x + x %}', '{{ x }}'), 'a list of more than'],
    ['lists in lists', doubling('{% set x = [1] %}', '{% set x = [x, x] %}', '{{ x }}'), 'too much to write out'],
    [
      'objects in objects',
      doubling('{% set x = {} %}', '{% set x = {"a": x, "b": x} %}', '{{ x | tojson }}'),
      'write out',
    ],
    [
      'namespaces that grow after they were put into lists',
      Array.from({ length: 40 }, (_, i) => `{% set n${i} = namespace(v=1) %}`).join('') +
        Array.from({ length: 39 }, (_, i) => `{% set n${i}.v = [n${i + 1}, n${i + 1}] %}`).join('') +
        '{{ n0 | tojson }}',
      'too much to write out',
    ],
    ['a list that holds itself', '{% set n = namespace() %}{% set n.v = [n] %}{{ n }}', 'too much to write out'],
    ['a macro that calls itself', '{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}', 'nests too deep'],
    ['much output', `{% for a in range(9000) %}${'x'.repeat(1000)}{% endfor %}`, 'a text of more than'],
    [
      'work on a long text',
      '{% set x = "a" | replace("a", "b") %}' +
        '{% set x = x ~ x %}'.repeat(21) +
        '{% for a in range(9000) %}{% if x | upper == "" %}{% endif %}{% endfor %}',
      'too much text',
    ],
    ['a wide indent', '{{ "a\\nb" | indent(10**9) }}', 'Invalid'],
    [
      'replacements that multiply',
      '{% set x = "a" %}' + '{% set x = x | replace("a", "aaaaaaaaaa") %}'.repeat(9),
      'a text of',
    ],
    [
      'sorting without end',
      '{% set x = range(90000) %}{% for a in range(9000) %}{% set y = x | sort %}{% endfor %}',
      'too',
    ],
  ])('%s', (_, template, reason) => {
    const message = expect.stringMatching(`^template refuses the conversation: .*${reason}`);
    expect(() => render(template, [user('a')])).toThrow(expect.objectContaining({ kind: 'invalid_argument', message }));
  });

  test.each([
    ['too long a template', 'a'.repeat(2 ** 18 + 1), 'more than 262144 characters'],
    ['white space without end', ' '.repeat(200_000), '2000 characters of white space'],
    ['brackets within brackets', '{{ ' + '('.repeat(50_000) + '1' + ')'.repeat(50_000) + ' }}', 'call stack'],
    ['an open tag', '{% for a in b %}', ''],
  ])('%s', (_, template, reason) => {
    const message = expect.stringMatching(`^template is no Jinja template that can be read: .*${reason}`);
    expect(() => render(template, [])).toThrow(expect.objectContaining({ kind: 'invalid_argument', message }));
  });

  test('but not one with much to say', () => {
    const template =
      '{% for m in messages %}{{ m.role ~ messages[loop.index0 - 1].role ~ (m.content | trim) }}{% endfor %}';
    const many = Array.from({ length: 2000 }, (_, i) => (i % 2 ? said : user)('word '.repeat(40)));
    expect(render(template, many)).toHaveLength(2000 * (199 + 13));
    expect(render(template, [user('long '.repeat(400_000))])).toHaveLength(2_000_007);
  });
});
