import type { Bandit } from './bandit';

/** A bandit with a name, and what it shows. */
export interface BanditCase {
  name: string;
  title: string;
  /** One sentence. */
  shows: string;
  bandit: Bandit;
}

const uniform = [1 / 3, 1 / 3, 1 / 3];

/** Where caution pays, where it pays less, where it costs, and where it changes nothing. */
export const banditCases: readonly BanditCase[] = [
  {
    name: 'favourable',
    title: 'The uncertain arm is bad',
    shows:
      'A reward model that is wrong about the third arm pulls vanilla towards it; the variance says so beforehand.',
    bandit: { reference: uniform, means: [0.5, 0, -0.5], variances: [0.05, 0.1, 2] },
  },
  {
    name: 'rare',
    title: 'The uncertain arm is bad and rare',
    shows:
      'As rare bad responses of a language model: the reference seldom gives them, and the reward models know them least.',
    bandit: { reference: [0.45, 0.45, 0.1], means: [0.3, 0.1, -0.6], variances: [0.05, 0.05, 2] },
  },
  {
    name: 'unfavourable',
    title: 'The uncertain arm is the best',
    shows:
      'Caution keeps away from what would have been worth most: the exact mode ends worse than it began nearly always.',
    bandit: { reference: uniform, means: [0, 0.1, 0.6], variances: [0.05, 0.05, 2] },
  },
  {
    name: 'equal',
    title: 'All arms are equally uncertain',
    shows: 'Where the variance is the same everywhere, weighting by it changes nothing.',
    bandit: { reference: uniform, means: [0.5, 0, -0.5], variances: [0.5, 0.5, 0.5] },
  },
];
