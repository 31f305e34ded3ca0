import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { DomainError } from '@surefoot/errors';
import { parseHostAndPort } from '@surefoot/service';

/**
 * The replicas behind a list of addresses: an IP address is one, a name is one for each of its addresses (what a headless
 * Service of Kubernetes gives). A host with addresses of both families counts once, by IPv4.
 *
 * @param addresses `host:port` each
 * @returns `ip:port` without duplicates; names that do not resolve are left out and named in `problems`
 */
export async function resolveReplicas(addresses: string[]): Promise<{ replicas: string[]; problems: string[] }> {
  const problems: string[] = [];
  const replicas = await Promise.all(
    addresses.map(async (address) => {
      const { host, port } = checkedParts(address);
      if (isIP(host)) return [address];
      try {
        const found = await lookup(host, { all: true });
        const family = found.some((entry) => entry.family === 4) ? 4 : 6;
        return found
          .filter((entry) => entry.family === family)
          .map((entry) => (family === 4 ? `${entry.address}:${port}` : `[${entry.address}]:${port}`));
      } catch (error) {
        problems.push(`${address}: the name does not resolve (${(error as NodeJS.ErrnoException).code})`);
        return [];
      }
    }),
  );
  return { replicas: [...new Set(replicas.flat())], problems };
}

/** True where asking again later may give other replicas. */
export function hasNames(addresses: string[]): boolean {
  return addresses.some((address) => !isIP(checkedParts(address).host));
}

function checkedParts(address: string): { host: string; port: number } {
  const parts = parseHostAndPort(address);
  if (!parts || parts.port === 0)
    throw new DomainError('invalid_argument', `${JSON.stringify(address)} is no address: it must be HOST:PORT`);
  return parts;
}
