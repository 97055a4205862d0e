/** A show made over HTTP and viewers on real WebSockets, for tests of whole processes. */
import type { Test } from 'tap';
import { WebSocket } from 'ws';

export interface Message {
  readonly t: string;
  readonly [field: string]: unknown;
}

export interface Viewer {
  readonly messages: Message[];
  /** Resolves with the next message, past or future, that fits. */
  next(fits: (message: Message) => boolean, timeoutMs?: number): Promise<Message>;
  send(message: Record<string, unknown>): void;
  /** Resolves with the close code. */
  readonly closed: Promise<number>;
  close(): void;
}

export interface Api {
  call(method: string, path: string, body?: unknown): Promise<{ status: number; body: Record<string, unknown> }>;
  /** A live show that lets guests in. */
  liveShow(id: string): Promise<void>;
  token(show: string, user: string): Promise<string>;
}

export function api(control: string | null, key: string): Api {
  const call: Api['call'] = async (method, path, body) => {
    const answer = await fetch(`${control}/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
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

export function watch(t: Test, gateway: string | null, show: string, token?: string): Viewer {
  const socket = new WebSocket(`${gateway}/v1/shows/${show}`, [
    'stampede.v1.json',
    ...(token === undefined ? [] : [`token.${token}`]),
  ]);
  const messages: Message[] = [];
  const waiting = new Set<(message: Message) => void>();
  socket.on('message', (data) => {
    const message = JSON.parse(String(data)) as Message;
    messages.push(message);
    for (const tell of waiting) tell(message);
  });
  let trouble = 'the line is open';
  socket.on('unexpected-response', (_request, response) => {
    trouble = `the upgrade was refused with ${response.statusCode}`;
  });
  socket.on('error', (error) => {
    trouble = error.message;
  });
  t.teardown(() => socket.terminate());
  return {
    messages,
    next(fits, timeoutMs = 10_000) {
      const past = messages.find(fits);
      if (past) return Promise.resolve(past);
      return new Promise((resolve, reject) => {
        const late = setTimeout(
          () =>
            reject(
              new Error(
                `no such message within ${timeoutMs} ms; got ${JSON.stringify(messages.map((message) => message.t))}; ${trouble}`,
              ),
            ),
          timeoutMs,
        );
        const tell = (message: Message): void => {
          if (!fits(message)) return;
          clearTimeout(late);
          waiting.delete(tell);
          resolve(message);
        };
        waiting.add(tell);
      });
    },
    send: (message) => socket.send(JSON.stringify(message)),
    closed: new Promise((resolve) => socket.once('close', (code) => resolve(code))),
    close: () => socket.close(),
  };
}
