import { DomainError } from '@surefoot/errors';
import { inspectModel, type ModelDescription } from '@surefoot/language-model';
import { counted } from '@surefoot/risk';
import { defineCommand } from '../command';
import { option, text } from '../option';

export const modelInspect = defineCommand({
  name: 'model inspect',
  summary: 'architecture, parameters, bytes, tokenizer, chat template, adapters, and what would not load and why',
  example: 'model inspect task/base',
  arguments: { dir: option('<dir>', 'model or adapter folder', text) },
  options: {},
  async run({ dir }) {
    const document = await inspectModel(dir);
    const rows = rowsOf(document).filter(([, value]) => value !== undefined);
    const count = document.problems.length;
    return {
      document,
      text: rows.map(([name, value]) => `${name}: ${String(value)}`).join('\n'),
      ...(count > 0 && {
        failure: new DomainError(
          'invalid_argument',
          `${dir} would not load: ${counted(count, 'problem')}, shown above`,
        ),
      }),
    };
  },
});

/** What is shown of a folder, line by line. */
function rowsOf({ folder, config, parameters, bytes, dtypes, digest, tokenizer, ...rest }: ModelDescription) {
  const adapters = rest.adapters.map((adapter): [string, string] => [
    `adapter ${adapter.folder}`,
    describeAdapter(adapter),
  ]);
  const rows: [string, unknown][] = [
    ['folder', folder],
    ...(config ? geometryRows(config) : []),
    ['parameters', parameters],
    ['bytes', bytes],
    ['stored as', dtypes && Object.keys(dtypes).join(' and ')],
    ['digest', digest],
    ...Object.entries(tokenizer ?? {}).map(([name, value]): [string, unknown] => [`tokenizer ${name}`, value]),
    ...adapters,
    ['would not load', rest.problems.length === 0 ? 'nothing' : rest.problems.join('; ')],
  ];
  return rows;
}

function geometryRows(config: NonNullable<ModelDescription['config']>): [string, unknown][] {
  const { heads, keyHeads, headWidth, rotary, windows, attentionSoftCap, logitSoftCap, tiedHead, head } = config;
  const windowed = windows.filter((window) => window !== undefined);
  const scaling = rotary?.scaling && `, ${Object.values(rotary.scaling).join(' ')}`;
  return [
    ['architecture', `${config.architecture}, head ${head}${tiedHead ? ' tied to the embedding' : ''}`],
    ['layers', config.layers],
    ['width', `${config.hiddenSize}, feed-forward ${config.innerSize} with ${config.activation}`],
    ['heads', `${heads} of ${headWidth}, ${keyHeads} of keys and values`],
    ['vocabulary', config.vocabularySize],
    ['positions', `${config.maxPositions}, ${rotary ? `rotary, theta ${rotary.theta}${scaling ?? ''}` : 'learned'}`],
    ['window', windowed.length > 0 ? `${windowed[0]} in ${windowed.length} of ${windows.length} layers` : 'none'],
    [
      'soft caps',
      (attentionSoftCap ?? logitSoftCap)
        ? `attention ${attentionSoftCap ?? 'none'}, logits ${logitSoftCap ?? 'none'}`
        : 'none',
    ],
    ['biases', config.biases.join(', ') || 'none'],
    ['ends a response', config.eosTokenIds.join(', ') || 'nothing'],
    ['bos, pad', `${config.bosTokenId ?? 'none'}, ${config.padTokenId ?? 'none'}`],
  ];
}

function describeAdapter(adapter: ModelDescription['adapters'][number]): string {
  const { rank, alpha, isRankStabilised, targets, modulesToSave, task, base } = adapter;
  const whole = modulesToSave.length > 0 ? `, ${modulesToSave.join(', ')} whole` : '';
  const named = Array.isArray(targets) ? targets.join(', ') : (targets ?? 'the targets that PEFT takes');
  return `${task ?? 'no task'}, rank ${rank}, alpha ${alpha}${isRankStabilised ? ' (rank-stabilised)' : ''}, on ${named}${whole}, of ${base ?? 'an unnamed base'}`;
}
