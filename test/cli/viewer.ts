/** Shows over HTTP and viewers on WebSockets, for tests of whole processes. */
import type { Test } from 'tap';
import { WebSocket } from 'ws';

export interface Message {
  readonly t: string;
  readonly [field: string]: unknown;
}

export interface Viewer {
  /** Resolves with the first matching message, also if it has already arrived. */
  next(matches: (message: Message) => boolean, timeoutMs?: number): Promise<Message>;
  send(message: Record<string, unknown>): void;
  /** Resolves with the close code. */
  readonly closed: Promise<number>;
}

export interface Api {
  call(method: string, path: string, body?: unknown): Promise<{ status: number; body: Record<string, unknown> }>;
  /** Creates and starts a show that allows guests. */
  liveShow(id: string): Promise<void>;
  token(show: string, user: string): Promise<string>;
}

export function api(control: string | null, key: string): Api {
  const call: Api['call'] = async (method, path, body) => {
    const response = await fetch(`${control}/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  return {
    call,
    async liveShow(id) {
      await call('POST', '/shows', { id, title: 'A show', guests: true });
      await call('POST', `/shows/${id}/start`);
    },
    async token(show, user) {
      const { body } = await call('POST', `/shows/${show}/tokens`, { user, name: user, role: 'buyer' });
      return String(body.token);
    },
  };
}

export function watch(t: Test, gateway: string | null, show: string, token: string): Viewer {
  const socket = new WebSocket(`${gateway}/v1/shows/${show}`, ['stampede.v1.json', `token.${token}`]);
  const messages: Message[] = [];
  const listeners = new Set<(message: Message) => void>();
  socket.on('message', (data) => {
    const message = JSON.parse(String(data)) as Message;
    messages.push(message);
    for (const listener of listeners) listener(message);
  });
  let state = 'the connection is open';
  socket.on('error', (error) => {
    state = error.message;
  });
  t.teardown(() => socket.terminate());
  return {
    next(matches, timeoutMs = 10_000) {
      const earlier = messages.find(matches);
      if (earlier) return Promise.resolve(earlier);
      return new Promise((resolve, reject) => {
        const late = setTimeout(() => {
          const types = JSON.stringify(messages.map((message) => message.t));
          reject(new Error(`no such message within ${timeoutMs} ms; got ${types}; ${state}`));
        }, timeoutMs);
        const listener = (message: Message): void => {
          if (!matches(message)) return;
          clearTimeout(late);
          listeners.delete(listener);
          resolve(message);
        };
        listeners.add(listener);
      });
    },
    send: (message) => socket.send(JSON.stringify(message)),
    closed: new Promise((resolve) => socket.once('close', (code) => resolve(code))),
  };
}
