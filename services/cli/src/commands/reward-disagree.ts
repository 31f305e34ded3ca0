import { join } from 'node:path';
import { makeFolder, writeFileAtomically } from '@surefoot/files';
import { readRollouts } from '@surefoot/preference';
import { disagreementFigures } from '@surefoot/report';
import { disagreement } from '@surefoot/reward';
import { defineCommand } from '../command';
import { calibratedScores } from '../experiment/disagreement-sample';
import { inBatches, inFile } from '../lines';
import { option, text } from '../option';
import { openScorer, scorerOptions } from '../scorer';
import { toJson } from '../terminal';

export const rewardDisagree = defineCommand({
  name: 'reward disagree',
  summary: 'how much the members disagree on the same text, in numbers and figures',
  example: 'reward disagree --ensemble ensemble --in rollouts.jsonl --out disagreement',
  options: {
    ...scorerOptions,
    in: inFile,
    id: option('<id>', 'the text whose scores are drawn; default the one they differ most on', text.optional()),
    out: option('<dir>', 'folder for disagreement.json and figures', text),
  },
  async run(options, context) {
    const rows = await readRollouts(options.in);
    const scorer = await openScorer(options);
    const scores: number[][] = [];
    try {
      const task = { label: 'score', unit: 'texts', size: scorer.batchSize };
      await inBatches(
        rows,
        context,
        task,
        async (batch) => void scores.push(...(await calibratedScores(batch, scorer))),
      );
    } finally {
      scorer.close();
    }
    const found = disagreement(
      scores,
      rows.map(({ id }) => id),
    );
    const figures = await disagreementFigures(found, { id: options.id });
    await makeFolder(options.out);
    for (const { name, svg } of figures) await writeFileAtomically(join(options.out, name), svg);
    const givenIds = new Map<string, string | number>(rows.map(({ id, givenId }) => [id, givenId]));
    const document = {
      ...found,
      texts: found.texts.map((measured) => ({ ...measured, id: givenIds.get(measured.id) })),
      widest: found.widest.map((id) => givenIds.get(id)),
      model: scorer.model,
    };
    await writeFileAtomically(join(options.out, 'disagreement.json'), `${toJson(document, 2)}\n`);
    const median = found.rangeQuantiles.find(({ level }) => level === 0.5)!.value;
    const files = ['disagreement.json', ...figures.map(({ name }) => name)].map((name) => join(options.out, name));
    return {
      document,
      text: `${found.members} members on ${rows.length} texts: half the ranges are above ${median.toFixed(2)} standard deviations\n${files.join('\n')}`,
    };
  },
});
