import type { Rollout } from '@surefoot/proto/surefoot/common/v1/common';
import { createNotifier } from './notifier';

/** Most bytes of text and ids that may wait, whatever the number of rollouts. */
const maxBytes = 64 * 1024 * 1024;

/** Counts what has been accepted and not yet answered. */
export class WaitingRoom {
  private rollouts = 0;
  private bytes = 0;
  private readonly left = createNotifier();

  constructor(private readonly maxRollouts: number) {}

  /** @returns to be called once, when the rollout is answered */
  enter(rollout: Rollout): () => void {
    const bytes = bytesOf(rollout);
    this.rollouts += 1;
    this.bytes += bytes;
    return () => {
      this.rollouts -= 1;
      this.bytes -= bytes;
      this.left.notify();
    };
  }

  hasRoom(): boolean {
    return this.rollouts < this.maxRollouts && this.bytes < maxBytes;
  }

  async room(): Promise<void> {
    while (!this.hasRoom()) await this.left.changed();
  }
}

function bytesOf({ prompt, response, tokenIds }: Rollout): number {
  const texts = prompt?.$case === 'conversation' ? prompt.value.messages.map(({ content }) => content) : [];
  if (prompt?.$case === 'text') texts.push(prompt.value);
  const characters = texts.reduce((sum, text) => sum + text.length, response.length);
  return 2 * characters + 8 * ((tokenIds?.promptIds.length ?? 0) + (tokenIds?.responseIds.length ?? 0));
}
