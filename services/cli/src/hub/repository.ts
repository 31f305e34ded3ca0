import { DomainError } from '@surefoot/errors';
import { z } from 'zod';
import type { HubSettings } from './environment';
import { withRetries } from './patience';
import { request } from './request';

const maxNameLength = 96;
const part = /^[A-Za-z0-9_](?:[\w.-]*\w)?$/;

/** `NAME` or `ORG/NAME` of a model's repository. */
export const repositoryName = z.string().refine((name) => {
  const parts = name.split('/');
  const isPlain = parts.length <= 2 && parts.every((each) => part.test(each) && each.length <= maxNameLength);
  return isPlain && !/--|\.\.|\.git$/.test(name);
}, 'must be ORG/NAME as on the hub, no address and no path');

/** A branch, a tag, a commit or a pull request's ref. */
export const revisionName = z
  .string()
  .regex(/^[\w][\w.+-]*(\/[\w][\w.+-]*)*$/, 'must be a branch, a tag or a commit')
  .refine((name) => name.length <= 200 && !/\.\.|\.lock$/.test(name), 'must be a branch, a tag or a commit');

/** A file of a repository. */
export interface HubFile {
  path: string;
  bytes: number;
  /** sha256 of the content, or git's sha1 of a blob for what git itself holds. */
  digest: { algorithm: 'sha256' | 'git-sha1'; hex: string };
}

/** A revision of a repository. */
export interface Listing {
  name: string;
  revision: string;
  commit: string;
  files: HubFile[];
}

const hex = (length: number) => z.string().regex(new RegExp(`^[0-9a-f]{${length}}$`));
const size = z.int().nonnegative();
const entrySchema = z.object({
  type: z.string(),
  path: z.string().min(1).max(1024),
  size,
  oid: hex(40),
  lfs: z.object({ oid: hex(64), size }).nullish(),
});

const maxAnswerBytes = 64 * 2 ** 20;
const maxEntries = 100_000;

/**
 * The commit that a revision names, and its files.
 *
 * @throws DomainError as `request`; unavailable where the hub's answer is no listing, or names a file outside the repository
 */
export async function listRepository(
  settings: HubSettings,
  { name, revision }: { name: string; revision: string },
  signal: AbortSignal,
): Promise<Listing> {
  // Loaded here, so that other commands need not wait for it.
  const { listFiles, modelInfo } = await import('@huggingface/hub');
  const subject = `${name} (revision ${revision})`;
  const hub = { hubUrl: settings.endpoint, fetch: wholeAnswers(settings, subject, signal) };
  const { sha } = await modelInfo({ ...hub, name, revision, additionalFields: ['sha'] });
  const host = new URL(settings.endpoint).host;
  if (!hex(40).safeParse(sha).success)
    throw new DomainError('unavailable', `${host} does not say which commit ${subject} is; check HF_ENDPOINT`);
  const files: HubFile[] = [];
  let entries = 0;
  for await (const raw of listFiles({ ...hub, repo: { type: 'model', name }, recursive: true, revision: sha })) {
    const { success, data: entry } = entrySchema.safeParse(raw);
    if (!success || !isInside(entry.path))
      throw new DomainError(
        'unavailable',
        `${host} lists a file of ${subject} that cannot be: ${JSON.stringify(raw).slice(0, 200)}`,
      );
    entries += 1;
    if (entries > maxEntries)
      throw new DomainError('unavailable', `${host} lists more than ${maxEntries} files of ${subject}`);
    if (entry.type === 'file') files.push(hubFile(entry));
  }
  return { name, revision, commit: sha!, files };
}

function hubFile({ path, size: bytes, oid, lfs }: z.output<typeof entrySchema>): HubFile {
  return lfs
    ? { path, bytes: lfs.size, digest: { algorithm: 'sha256', hex: lfs.oid } }
    : { path, bytes, digest: { algorithm: 'git-sha1', hex: oid } };
}

/** False for what would lie elsewhere when joined to a folder, on any operating system. */
function isInside(path: string): boolean {
  const segments = path.split('/');
  return (
    !/[\u0000-\u001f\\]/.test(path) &&
    !segments.some((each) => each === '' || /^\.{1,2}$/.test(each) || /^[A-Za-z]:/.test(each))
  );
}

/** `fetch` for the hub's library: retried, bounded in bytes and time, and without a token to other hosts. */
function wholeAnswers(settings: HubSettings, subject: string, signal: AbortSignal): typeof fetch {
  const once = (url: string) =>
    request(
      settings,
      { url, subject, headers: { accept: 'application/json' }, signal },
      async ({ status, headers, parts }) => {
        const received: Uint8Array[] = [];
        let bytes = 0;
        for await (const each of parts()) {
          bytes += each.byteLength;
          if (bytes > maxAnswerBytes)
            throw new DomainError(
              'unavailable',
              `${new URL(url).host} answers with more than ${maxAnswerBytes} bytes for ${subject}`,
            );
          received.push(each);
        }
        const text = Buffer.concat(received).toString();
        assertJson(text, url, subject);
        return new Response(text, { status, headers });
      },
    );
  return (url) => withRetries(() => once(String(url)), { patience: settings.patience, signal });
}

function assertJson(text: string, url: string, subject: string): void {
  try {
    if (JSON.parse(text) !== null) return;
  } catch {
    // Said below.
  }
  throw new DomainError(
    'unavailable',
    `${new URL(url).host} answers with something else than JSON for ${subject}; check HF_ENDPOINT`,
  );
}
