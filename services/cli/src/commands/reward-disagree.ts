import { join } from 'node:path';
import { makeFolder, writeFileAtomically } from '@surefoot/files';
import { disagreementFigures } from '@surefoot/report';
import { disagreement } from '@surefoot/reward';
import { defineCommand } from '../command';
import { option, text } from '../option';
import { scoreFile, scoreFileOptions } from '../score-file';
import { toJson } from '../terminal';

export const rewardDisagree = defineCommand({
  name: 'reward disagree',
  summary: 'how much the members disagree on the same text, in numbers and figures',
  example: 'reward disagree --ensemble ensemble --in rollouts.jsonl --out disagreement',
  options: {
    ...scoreFileOptions,
    id: option('<id>', 'the text whose scores are drawn; default the one they differ most on', text.optional()),
    out: option('<dir>', 'folder for disagreement.json and figures', text),
  },
  async run(options, context) {
    const scores: number[][] = [];
    const givenIds = new Map<string, string | number>();
    const { model, skipped } = await scoreFile(options, context, ({ id, givenId }, own) => {
      scores.push(own);
      givenIds.set(id, givenId);
    });
    const found = disagreement(scores, [...givenIds.keys()]);
    const figures = await disagreementFigures(found, { id: options.id });
    await makeFolder(options.out);
    for (const { name, svg } of figures) await writeFileAtomically(join(options.out, name), svg);
    const document = {
      ...found,
      texts: found.texts.map((measured) => ({ ...measured, id: givenIds.get(measured.id) })),
      widest: found.widest.map((id) => givenIds.get(id)),
      model,
      ...(skipped > 0 && { skipped }),
    };
    await writeFileAtomically(join(options.out, 'disagreement.json'), `${toJson(document, 2)}\n`);
    const median = found.rangeQuantiles.find(({ level }) => level === 0.5)!.value;
    const files = ['disagreement.json', ...figures.map(({ name }) => name)].map((name) => join(options.out, name));
    return {
      document,
      text: `${found.members} members on ${scores.length} texts: half the ranges are above ${median.toFixed(2)} standard deviations\n${files.join('\n')}`,
    };
  },
});
