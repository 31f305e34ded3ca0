import type { Problem } from './examine';

/** The oldest release of Node that the product is made for. */
const oldest = [20, 19];

/** What is wrong with this release of Node, if anything is. */
export function nodeProblem(release: string): Problem[] {
  const [major = 0, minor = 0] = release.split('.').map(Number);
  if (major > oldest[0]! || (major === oldest[0] && minor >= oldest[1]!)) return [];
  return [{ problem: `node ${release} is older than ${oldest.join('.')}`, cure: 'install Node 24, 22 or 20.19' }];
}
