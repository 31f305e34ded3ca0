/**
 * Seed of the judge of the built-in task and of its pairs, and the largest of a fit. Data seeds are below it, so that the judge shares
 * neither pairs nor initial weights with an ensemble; 1000 times it, where the seeds of members begin, a double still holds exactly.
 */
export const judgeSeed = 2 ** 40;
