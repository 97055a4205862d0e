/** Shows over HTTP and viewers on WebSockets, for tests of whole processes. */
import type { Test } from 'tap';
import { Client } from '../gateway/client.ts';

export interface Api {
  call(method: string, path: string, body?: unknown): Promise<{ status: number; body: Record<string, unknown> }>;
  /** Creates and starts a show that allows guests. */
  liveShow(id: string): Promise<void>;
  token(show: string, user: string): Promise<string>;
}

export function api(control: string | null, key: string): Api {
  const call: Api['call'] = async (method, path, body) => {
    const authorization = `Bearer ${key}`;
    const json = { headers: { authorization, 'content-type': 'application/json' }, body: JSON.stringify(body) };
    const content = body === undefined ? { headers: { authorization } } : json;
    const response = await fetch(`${control}/v1${path}`, { method, ...content });
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

/** Connects a viewer until the end of the test. */
export function watch(t: Test, gateway: string | null, show: string, token: string): Client {
  const client = new Client(`${gateway}/v1/shows/${show}`, ['stampede.v1.json', `token.${token}`], 'json');
  t.teardown(() => client.terminate());
  return client;
}
