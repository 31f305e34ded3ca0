import type { Family } from './family';
import { gpt2 } from './gpt2';
import { gemma, gemma2, llama, mistral, qwen2 } from './llama';

/** By `model_type` of config.json. */
export const families = { gpt2, llama, mistral, qwen2, gemma, gemma2 } satisfies Record<string, Family>;

export type { BlockSlot, Family, FamilyConfig } from './family';
