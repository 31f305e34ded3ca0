import type { Family } from './family';
import { gemma, gemma2 } from './gemma';
import { gpt2 } from './gpt2';
import { llama } from './llama';
import { mistral } from './mistral';
import { qwen2 } from './qwen2';

/** By `model_type` of config.json. */
export const families = { gpt2, llama, mistral, qwen2, gemma, gemma2 } satisfies Record<string, Family>;

export type { BlockSlot, Family, FamilyConfig } from './family';
