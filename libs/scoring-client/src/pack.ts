import { Rollout, type ScorerLimits } from '@surefoot/proto/surefoot/common/v1/common';

/** Tag and length of a rollout in its message, and of the message's own fields. */
const overheadBytes = 8;

/**
 * Splits rollouts into messages that a scorer takes, in order.
 *
 * @returns `messages`, each within both limits, and `tooLarge`, the rollouts that fit into no message
 */
export function packMessages<Item extends { rollout: Rollout }>(
  items: Item[],
  { maxRolloutsPerMessage, maxMessageBytes }: Pick<ScorerLimits, 'maxRolloutsPerMessage' | 'maxMessageBytes'>,
): { messages: Item[][]; tooLarge: Item[] } {
  const messages: Item[][] = [];
  const tooLarge: Item[] = [];
  let bytes = Infinity;
  for (const item of items) {
    const size = overheadBytes + encodedBytes(item.rollout, maxMessageBytes);
    if (size + overheadBytes > maxMessageBytes) {
      tooLarge.push(item);
      continue;
    }
    const last = messages.at(-1);
    if (last && last.length < maxRolloutsPerMessage && bytes + size <= maxMessageBytes) {
      last.push(item);
      bytes += size;
    } else {
      messages.push([item]);
      bytes = overheadBytes + size;
    }
  }
  return { messages, tooLarge };
}

/** An upper bound of a rollout's bytes on the wire, which costs little; exact only where the bound does not fit. */
function encodedBytes(rollout: Rollout, limit: number): number {
  const { id, prompt, response, tokenIds } = rollout;
  const texts = [id, response];
  if (prompt?.$case === 'text') texts.push(prompt.value);
  if (prompt?.$case === 'conversation')
    for (const { role, content } of prompt.value.messages) texts.push(role, content);
  // UTF-8 takes at most 3 bytes for a UTF-16 unit, a varint of 32 bits at most 5, a field's tag and length at most 6.
  const textBytes = texts.reduce((sum, text) => sum + 3 * text.length + 12, 64);
  const ids = tokenIds ? tokenIds.promptIds.length + tokenIds.responseIds.length : 0;
  const bound = textBytes + 5 * ids + (tokenIds ? 3 * tokenIds.tokenizerDigest.length : 0);
  return bound < limit / 2 ? bound : Rollout.encode(rollout).finish().length;
}
