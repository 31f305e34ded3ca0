import { DomainError } from '@surefoot/errors';
import type { PreferencePair, Prompt, RolloutRow } from '@surefoot/preference';
import {
  disagreement,
  nearestDistances,
  rangeByDistance,
  rangesAgainst,
  type Disagreement,
  type RangeByDistance,
  type RangesAgainst,
  type TextDisagreement,
} from '@surefoot/reward';

/** A rollout with the members' calibrated scores [K]. */
export interface ScoredText {
  id: string | number;
  prompt?: Prompt;
  response?: string;
  scores: number[];
}

/** Texts that belong together. */
export interface TextSet {
  /** What they are, such as the name of their file. */
  name: string;
  texts: ScoredText[];
}

type Id = string | number;
type Named = Omit<Disagreement, 'texts' | 'widest' | 'narrowest'> & {
  texts: (Omit<TextDisagreement, 'id'> & { id: Id; distance?: number; prompt?: string; response?: string })[];
  widest: Id[];
  narrowest: Id[];
};

/** disagreement.json; prompt and response are given for the widest and the narrowest texts. */
export interface DisagreementDocument extends Named {
  name: string;
  /** The same of other texts, and how the ranges compare. */
  against?: Named & RangesAgainst & { name: string };
  /** How ranges grow with the distance from the texts of the pairs. */
  distance?: RangeByDistance & { from: string };
}

/**
 * How far the members are apart on texts.
 *
 * @param options.against other texts to compare the ranges with
 * @param options.pairs to measure distances from
 * @throws DomainError invalid_argument where a distance is asked of a rollout that was given as token ids
 */
export function disagreementDocument(
  own: TextSet,
  { against, pairs }: { against?: TextSet; pairs?: { name: string; pairs: readonly PreferencePair[] } } = {},
): DisagreementDocument {
  const found = { name: own.name, ...measure(own) };
  const others = against && measure(against);
  const compared = others && { against: { name: against.name, ...rangesAgainst(found, others), ...others } };
  if (!pairs) return { ...found, ...compared };
  const distances = nearestDistances(own.texts.map(wordsOf), pairs.pairs.flatMap(pairTexts));
  const ranges = found.texts.map(({ range }) => range);
  return {
    ...found,
    texts: found.texts.map((text, i) => ({ ...text, distance: distances[i]! })),
    ...compared,
    distance: { from: pairs.name, ...rangeByDistance(ranges, distances) },
  };
}

/** With ids as they were given, which need not be unique. */
function measure({ texts }: TextSet): Named {
  const found = disagreement(
    texts.map(({ scores }) => scores),
    texts.map((_, i) => String(i)),
  );
  const shown = new Set([...found.widest, ...found.narrowest]);
  const givenIds = (indices: string[]) => indices.map((i) => texts[Number(i)]!.id);
  return {
    ...found,
    texts: found.texts.map((text, i) => {
      const { id, prompt, response } = texts[i]!;
      const words = shown.has(text.id) && response !== undefined;
      return { ...text, id, ...(words && { prompt: promptText(prompt), response }) };
    }),
    widest: givenIds(found.widest),
    narrowest: givenIds(found.narrowest),
  };
}

function wordsOf({ id, prompt, response }: ScoredText): string {
  if (response === undefined)
    throw new DomainError(
      'invalid_argument',
      `id ${id} is given as token ids: it has no words to measure a distance by`,
    );
  return `${contentOf(prompt)}\n${response}`;
}

const pairTexts = ({ prompt, chosen, rejected }: PreferencePair) =>
  [chosen, rejected].map((response) => `${contentOf(prompt)}\n${response}`);

function contentOf(prompt: Prompt = ''): string {
  return typeof prompt === 'string' ? prompt : prompt.map(({ content }) => content).join('\n');
}

/** A prompt as it is shown. */
export function promptText(prompt: Prompt = ''): string {
  return typeof prompt === 'string' ? prompt : prompt.map(({ role, content }) => `${role}: ${content}`).join('\n');
}

/** At most `most` responses of the pairs, evenly through the list: what the members were fitted to. */
export function pairResponses(pairs: readonly PreferencePair[], most: number): RolloutRow[] {
  const all = pairs.flatMap(({ prompt, chosen, rejected, chosenTruncated, rejectedTruncated }, i) => [
    { id: `pair ${i + 1} chosen`, prompt, response: chosen, truncated: chosenTruncated },
    { id: `pair ${i + 1} rejected`, prompt, response: rejected, truncated: rejectedTruncated },
  ]);
  const count = Math.min(most, all.length);
  return Array.from({ length: count }, (_, i) => all[Math.floor((i * all.length) / count)]!);
}
