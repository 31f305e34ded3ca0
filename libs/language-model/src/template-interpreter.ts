import { Environment, Interpreter } from '@huggingface/jinja';

/** A value while a template runs; the library does not export its classes. */
interface RuntimeValue {
  type: string;
  value: unknown;
}

/** A node of a template's syntax tree. */
interface Node {
  type: string;
}

/** What the library's interpreter does beside its one public step. */
interface LibraryInterpreter {
  evaluate(node: Node | undefined, environment: Environment): RuntimeValue;
  evaluateFor(node: Node & { iterable: Node & { lhs?: Node } }, environment: Environment): RuntimeValue;
}
const LibraryInterpreter = Interpreter as unknown as new (environment: Environment) => LibraryInterpreter;

/** Elements of a list, as in Jinja's own sandbox for `range`. */
export const longestList = 100_000;

/** Nodes within nodes, calls of macros among them. */
const deepest = 400;

/** A turn of a loop costs a scope. */
const stepsPerTurn = 4;

/** Characters that writing out a list or object takes beside the texts in it, about, for each value. */
const charactersPerValue = 8;

/** Characters of a text beyond what the messages themselves need. */
const longestText = 2 ** 22;

/**
 * Runs a chat template within bounds: a template comes with a model from elsewhere, and a loop in one could hold up a
 * service for ever. The bounds are counted, so that whether a conversation is refused does not depend on the machine:
 * evaluated nodes and turns of loops; characters and list elements handled; the length of every text and list, and what
 * lists within lists would take if written out. Only what one built-in step does with a long list is left to the clock.
 */
export class BoundedInterpreter extends LibraryInterpreter {
  private steps: number;
  private work = 2 ** 28;
  private sinceClock = 0;
  private depth = 0;
  private readonly textLimit: number;
  private readonly deadline: number;
  private readonly sizes = new WeakMap<RuntimeValue, number>();

  /**
   * @param size.messages   of the conversation
   * @param size.characters of all of them
   * @param limitMs         longest that the template may take
   */
  constructor(environment: Environment, size: { messages: number; characters: number }, limitMs = 2000) {
    super(environment);
    this.steps = 250_000 + 1000 * size.messages;
    this.textLimit = longestText + 16 * size.characters;
    this.deadline = performance.now() + limitMs;
  }

  override evaluate(node: Node | undefined, environment: Environment): RuntimeValue {
    this.step(1);
    if (++this.depth > deepest) throw new Error('it nests too deep');
    const result = this.evaluateWithin(node, environment);
    if (typeof result?.value === 'string') this.handle(this.checkedText(result.value));
    else if (result?.value !== null && typeof result?.value === 'object') this.handle(this.checkedSize(result));
    return result;
  }

  private evaluateWithin(node: Node | undefined, environment: Environment): RuntimeValue {
    try {
      return super.evaluate(node, environment);
    } finally {
      this.depth -= 1; // also where the library leaves a loop, which it does by throwing
    }
  }

  override evaluateFor(node: Node & { iterable: Node & { lhs?: Node } }, environment: Environment): RuntimeValue {
    // The library makes a scope for every turn before the first, also of a loop with nothing in it.
    const list = node.iterable.type === 'SelectExpression' ? node.iterable.lhs : node.iterable;
    const { value } = this.evaluate(list, environment);
    this.step(Array.isArray(value) ? stepsPerTurn * value.length : 1);
    return super.evaluateFor(node, environment);
  }

  private step(count: number): void {
    this.steps -= count;
    if (this.steps < 0) throw new Error('it takes too many steps');
    this.sinceClock = (this.sinceClock + 1) % 64;
    if (this.sinceClock === 0 && performance.now() > this.deadline) throw new Error('it takes too long');
  }

  private handle(characters: number): void {
    this.work -= characters;
    if (this.work < 0) throw new Error('it handles too much text');
  }

  private checkedText(text: string): number {
    if (text.length > this.textLimit) throw new Error(`it makes a text of more than ${this.textLimit} characters`);
    return text.length;
  }

  /** How many elements a list or object has, where writing it out would not take too much. */
  private checkedSize(container: RuntimeValue): number {
    const length = this.lengthOf(container);
    if (length === undefined) return 1;
    if (length > longestList) throw new Error(`it makes a list of more than ${longestList} elements`);
    if (!this.sizes.has(container)) {
      const budget = { left: this.textLimit };
      const changes = this.spend(container, budget, 0);
      if (!changes) this.sizes.set(container, this.textLimit - budget.left);
    }
    return length;
  }

  /** @returns whether a namespace is in there, which may grow later */
  private spend(value: RuntimeValue, budget: { left: number }, depth: number): boolean {
    const known = this.sizes.get(value);
    budget.left -= known ?? charactersPerValue + (typeof value.value === 'string' ? value.value.length : 0);
    if (budget.left < 0 || depth > 200) throw new Error('it makes a list that would take too much to write out');
    if (known !== undefined || this.lengthOf(value) === undefined) return false;
    let changes = value.type === 'NamespaceValue';
    const entries = value.value as RuntimeValue[] | Map<string, RuntimeValue>;
    for (const [key, each] of entries.entries()) {
      if (typeof key === 'string') budget.left -= key.length;
      if (each && this.spend(each, budget, depth + 1)) changes = true;
    }
    return changes;
  }

  private lengthOf({ value }: RuntimeValue): number | undefined {
    return Array.isArray(value) ? value.length : value instanceof Map ? value.size : undefined;
  }
}
