import { Environment, parse, tokenize } from '@huggingface/jinja';
import { DomainError } from '@surefoot/errors';
import { pythonStrip, type StripSide } from './python-strip';
import { templateGlobals } from './template-globals';
import { BoundedInterpreter } from './template-interpreter';

/** One message of a conversation. */
export interface ChatMessage {
  /** For example `system`, `user` or `assistant`; the template decides which it takes. */
  role: string;
  content: string;
}

/** A compiled chat template. */
export type ChatTemplate = (messages: ChatMessage[], addGenerationPrompt: boolean) => string;

/**
 * Compiles a Jinja chat template as transformers does: `trim_blocks` and `lstrip_blocks` on, white space as Python strips it,
 * unknown variables undefined. It runs within bounds of steps, text and time.
 *
 * @param specialTokens variables of the template, such as `bos_token`
 * @param source file named in errors
 * @returns a function that throws DomainError invalid_argument where the template refuses a conversation or goes beyond bounds
 * @throws DomainError invalid_argument if the template does not parse
 */
export function compileChatTemplate(text: string, specialTokens: Record<string, string>, source: string): ChatTemplate {
  const program = parseTemplate(text, source);
  return (messages, addGenerationPrompt) => {
    const variables = { messages, add_generation_prompt: addGenerationPrompt, tools: null, documents: null };
    const characters = messages.reduce((sum, { role, content }) => sum + role.length + content.length, 0);
    try {
      const environment = new Environment();
      const known = { ...templateGlobals(new Date()), ...stripFunctions, ...specialTokens, ...variables };
      for (const [name, value] of Object.entries(known)) environment.set(name, value);
      const interpreter = new BoundedInterpreter(environment, { messages: messages.length, characters });
      return String(interpreter.evaluate(program, environment).value);
    } catch (error) {
      const reason = (error as Error).message;
      throw new DomainError('invalid_argument', `${source} refuses the conversation: ${reason}`, { cause: error });
    }
  };
}

const longestTemplate = 2 ** 18;
const longestWhiteSpace = 2000;

function parseTemplate(text: string, source: string): ReturnType<typeof parse> {
  try {
    if (text.length > longestTemplate) throw new Error(`it has more than ${longestTemplate} characters`);
    // The library looks for its tags in time that grows with the square of these.
    if (new RegExp(`\\s{${longestWhiteSpace}}`).test(text))
      throw new Error(`it has ${longestWhiteSpace} characters of white space on end`);
    const program = parse(tokenize(text, { lstrip_blocks: true, trim_blocks: true }));
    replaceStrips(program);
    return program;
  } catch (error) {
    const reason = (error as Error).message;
    throw new DomainError('invalid_argument', `${source} is no Jinja template that can be read: ${reason}`, {
      cause: error,
    });
  }
}

interface TemplateNode {
  type?: string;
  value?: unknown;
  operand?: unknown;
  filter?: TemplateNode;
  callee?: { type?: string; object?: unknown; property?: TemplateNode; computed?: boolean };
  args?: unknown[];
}

const methods: Record<string, StripSide> = { strip: 'both', lstrip: 'left', rstrip: 'right' };

// Names that no template can spell, so that they hide no variable of its own.
const functionName = (side: StripSide) => `<strip ${side}>`;
const stripFunctions = Object.fromEntries(
  Object.values(methods).map((side) => [
    functionName(side),
    (text: unknown, characters?: string | null) => pythonStrip(String(text ?? ''), side, characters ?? undefined),
  ]),
);

/** Turns `x | trim`, `x.strip()`, `x.lstrip()` and `x.rstrip()` into calls of our functions: the library strips as JavaScript does. */
function replaceStrips(node: unknown): void {
  if (node === null || typeof node !== 'object') return;
  const children = node instanceof Map ? [...node.keys(), ...node.values()] : Object.values(node);
  children.forEach(replaceStrips);
  const { type, operand, filter, callee, args = [] } = node as TemplateNode;
  if (type === 'FilterExpression' && filter?.type === 'Identifier' && filter.value === 'trim')
    become(node, 'both', [operand]);
  const method = callee?.type === 'MemberExpression' && !callee.computed ? String(callee.property?.value) : '';
  if (type === 'CallExpression' && Object.hasOwn(methods, method))
    become(node, methods[method]!, [callee!.object, ...args]);
}

function become(node: object, side: StripSide, args: unknown[]): void {
  Object.assign(node, { type: 'CallExpression', callee: { type: 'Identifier', value: functionName(side) }, args });
}
