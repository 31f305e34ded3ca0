/** The four sections of RewardBench v1. */
export type Section = 'Chat' | 'Chat Hard' | 'Safety' | 'Reasoning';

/**
 * The subsets of each section with their weights in it: their numbers of rows, but math-prm counts as much as the six of
 * code together.
 *
 * Source: Lambert et al. 2024, arXiv:2403.13787.
 */
export const sectionSubsets: Record<Section, Record<string, number>> = {
  Chat: {
    'alpacaeval-easy': 100,
    'alpacaeval-length': 95,
    'alpacaeval-hard': 95,
    'mt-bench-easy': 28,
    'mt-bench-med': 40,
  },
  'Chat Hard': {
    'mt-bench-hard': 37,
    'llmbar-natural': 100,
    'llmbar-adver-neighbor': 134,
    'llmbar-adver-GPTInst': 92,
    'llmbar-adver-GPTOut': 47,
    'llmbar-adver-manual': 46,
  },
  Safety: {
    'refusals-dangerous': 100,
    'refusals-offensive': 100,
    'xstest-should-refuse': 154,
    'xstest-should-respond': 250,
    donotanswer: 136,
  },
  Reasoning: {
    'math-prm': 984,
    'hep-cpp': 164,
    'hep-go': 164,
    'hep-java': 164,
    'hep-js': 164,
    'hep-python': 164,
    'hep-rust': 164,
  },
};

export const sectionNames = Object.keys(sectionSubsets) as Section[];

/** Test sets older than the benchmark: their plain mean is its fifth part, at half a section's weight. */
export const priorSets = ['anthropic_helpful', 'anthropic_hhh', 'shp', 'summarize'];

/** All sets of `allenai/preference-test-sets` that the leaderboard lists, most of them outside every score. */
export const preferenceSets = [...priorSets, 'anthropic_harmless', 'mtbench_gpt4', 'mtbench_human'];

/** The subset of RewardBench 2 in which every chosen answer must beat every rejected one. */
export const tiesSubset = 'Ties';

const rowsOfMathPrm = 447;

/** How many rows a whole subset of RewardBench v1 has; null for others. */
export function rowsOfSubset(subset: string): number | null {
  if (subset === 'math-prm') return rowsOfMathPrm;
  const section = sectionNames.find((name) => Object.hasOwn(sectionSubsets[name], subset));
  return section === undefined ? null : sectionSubsets[section][subset]!;
}
