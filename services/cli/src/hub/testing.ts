import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A file of the hub; those in LFS lie on another host, and the hub redirects to it. */
export interface ServedFile {
  path: string;
  content: Buffer;
  lfs: boolean;
}

/** What a hub was asked. */
export interface Asked {
  /** Which of its two hosts. */
  host: 'hub' | 'store';
  url: string;
  range?: string;
  authorization?: string;
}

/** A hub on this machine that speaks as much of the protocol as pulling a model needs. */
export interface TestHub {
  endpoint: string;
  asked: Asked[];
  /** Answers instead of the hub where it returns true. */
  intercept?: (request: IncomingMessage, response: ServerResponse, host: Asked['host']) => boolean;
  /** Bytes after which the connection that brings a file is cut; undefined: none. */
  cutAfter?: (path: string) => number | undefined;
  /** Overrides of listed entries. */
  list?: (entries: object[]) => unknown;
  close(): Promise<void>;
}

export const commit = 'c0ffee'.padEnd(40, '0');

export const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex');
export const gitSha1 = (content: Buffer) =>
  createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');

/** Starts a hub with one repository, `name`, whose `main` is `commit`. */
export async function startHub(name: string, files: ServedFile[], { pageSize = 1000 } = {}): Promise<TestHub> {
  const servers: Server[] = [];
  const listen = async (host: Asked['host'], answer: (request: IncomingMessage, response: ServerResponse) => void) => {
    const server = createServer((request, response) => {
      const { range, authorization } = request.headers;
      hub.asked.push({ host, url: request.url!, ...(range && { range }), ...(authorization && { authorization }) });
      if (!hub.intercept?.(request, response, host)) answer(request, response);
    });
    servers.push(server.listen(0, '127.0.0.1'));
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  };
  const hub: TestHub = {
    endpoint: '',
    asked: [],
    async close() {
      for (const server of servers) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };
  const store = await listen('store', (request, response) => {
    const file = files.find(({ content }) => request.url === `/lfs/${sha256(content)}`);
    if (file) return sendFile(request, response, file, hub.cutAfter?.(file.path));
    response.writeHead(404).end();
  });
  const entries = files.map(({ path, content, lfs }) => ({
    ...{ type: 'file', path, size: content.length, oid: gitSha1(content) },
    ...(lfs && { lfs: { oid: sha256(content), size: content.length, pointerSize: 130 } }),
  }));
  hub.endpoint = await listen('hub', (request, response) => {
    const url = new URL(request.url!, hub.endpoint);
    if (
      url.pathname === `/api/models/${name}/revision/main` ||
      url.pathname === `/api/models/${name}/revision/${commit}`
    )
      return sendJson(response, { id: name, sha: commit, private: false, lastModified: '2026-01-01T00:00:00.000Z' });
    if (url.pathname === `/api/models/${name}/tree/${commit}`) {
      const start = Number(url.searchParams.get('cursor') ?? 0);
      const next = start + pageSize;
      if (next < entries.length) {
        url.searchParams.set('cursor', String(next));
        response.setHeader('Link', `<${url.href}>; rel="next"`);
      }
      const page = entries.slice(start, next);
      return sendJson(response, hub.list?.(page) ?? page);
    }
    const file = files.find(({ path }) => url.pathname === `/${name}/resolve/${commit}/${path}`);
    if (!file) {
      const code = url.pathname.includes('/revision/') ? 'RevisionNotFound' : 'RepoNotFound';
      return void response.writeHead(404, { 'x-error-code': code }).end('{"error":"not found"}');
    }
    response.setHeader('x-repo-commit', commit);
    response.setHeader('etag', `"${file.lfs ? sha256(file.content) : gitSha1(file.content)}"`);
    if (!file.lfs) return sendFile(request, response, file, hub.cutAfter?.(file.path));
    response.setHeader('x-linked-etag', `"${sha256(file.content)}"`);
    response.writeHead(302, { location: `${store}/lfs/${sha256(file.content)}` }).end();
  });
  return hub;
}

function sendJson(response: ServerResponse, value: unknown): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

function sendFile(request: IncomingMessage, response: ServerResponse, { content }: ServedFile, cut?: number): void {
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const part = content.subarray(start);
  response.writeHead(206, {
    'content-length': part.length,
    'content-range': `bytes ${start}-${content.length - 1}/${content.length}`,
  });
  if (cut === undefined || cut >= part.length) return void response.end(part);
  response.write(part.subarray(0, cut), () => response.socket?.destroy());
}
