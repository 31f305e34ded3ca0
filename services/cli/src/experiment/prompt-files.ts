import { encodePrompt, loadTokenizer } from '@surefoot/language-model';
import { readPrompts } from '@surefoot/preference';
import type { ExperimentConfig } from './config';

/**
 * Refuses prompts that the policy cannot read, before anything starts.
 *
 * @throws DomainError naming file, line and reason
 */
export async function refuseUnreadable({
  policy,
  prompts,
  evalPrompts,
}: Pick<ExperimentConfig, 'policy' | 'prompts' | 'evalPrompts'>): Promise<void> {
  const tokenizer = await loadTokenizer(policy);
  for (const file of new Set([prompts, evalPrompts]))
    await readPrompts(file, (prompt) => void encodePrompt(tokenizer, prompt));
}
