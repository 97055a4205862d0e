/**
 * A viewer without the SDK, for browsers: prints the chat, buys when a sale opens, and reconnects.
 * Open it as a module of a page, and call `watch`. SPEC.md has the rules that are named here.
 */

/** Close codes from here to 4299 end for good. */
const STOP_FROM = 4200;

/**
 * `url` is that of the gateway, `token` one of POST /v1/shows/{show}/tokens. `onMessage` gets each
 * message of the server. Returns `send`, and `close`.
 */
export function watch({ url, show, token, onMessage, onEnd = () => {} }) {
  let [socket, heartbeat, attempt, isClosed] = [null, 0, 0, false];
  /** Where this viewer is in the show: after a lost connection the rest follows from here (H-7). */
  const position = { epoch: null, offset: 0, chat: 0 };
  /** Requests without a reply. Those with a key are sent again on the next connection. */
  const pending = new Map();
  let [lastId, isResuming] = [0, false];

  const sendNow = (message) => socket?.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));

  function note(message) {
    const { epoch, offset, events = [], chat = [], snapshot } = message;
    if (message.t === 'welcome') Object.assign(position, { epoch, offset });
    if (snapshot) Object.assign(position, { epoch: snapshot.epoch, offset: snapshot.offset });
    for (const event of events) {
      if (event.offset <= position.offset) continue;
      // Events are missing. They follow, and those after them once more (E-2.3).
      if (event.offset > position.offset + 1) return resume();
      position.offset = event.offset;
    }
    // A group is [id of its first message, time, [[index, time, name, text], …]] (C-2).
    for (const [first, , items] of chat)
      for (const [index] of items) position.chat = Math.max(position.chat, first + index);
  }

  function resume() {
    if (isResuming) return;
    isResuming = true;
    void request({ t: 'resume', ...position }).then(({ t, code }) => {
      isResuming = false;
      if (t === 'ok' || code === 'unknown_outcome') return;
      // Without a position the next welcome has a snapshot.
      position.epoch = null;
      socket.close();
    });
  }

  function receive(message) {
    if (message.t === 'welcome') {
      attempt = 0;
      clearInterval(heartbeat);
      heartbeat = setInterval(() => request({ t: 'sync', at: Date.now() }), message.limits.heartbeatMs);
      for (const { sent } of pending.values()) sendNow(sent);
    }
    if (message.t === 'welcome' || message.t === 'frame') note(message);
    if (message.t === 'ok' || message.t === 'error') {
      pending.get(message.id)?.resolve(message);
      pending.delete(message.id);
    }
    onMessage(message);
  }

  function open() {
    const query = position.epoch === null ? '' : `?${new URLSearchParams(position)}`;
    let bye = null;
    socket = new WebSocket(`${url}/v1/shows/${show}${query}`, ['stampede.v1.json', `token.${token}`]);
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.t === 'bye') bye = message;
      receive(message);
    };
    socket.onclose = ({ code, reason }) => {
      clearInterval(heartbeat);
      for (const [id, { sent, resolve }] of pending)
        if (!sent.key && pending.delete(id)) resolve({ t: 'error', id, code: 'unknown_outcome' });
      const why = bye ?? { code, reason };
      if (isClosed || (why.code >= STOP_FROM && why.code < STOP_FROM + 100)) return onEnd(why);
      // Full jitter, and never before the time that the server asks for.
      const limitMs = Math.min(30_000, 500 * 2 ** attempt++);
      setTimeout(open, (bye?.reconnectAfterMs ?? 0) + Math.random() * limitMs);
    };
  }

  /** Resolves with the reply. A request with a `key` is decided once, however often it is sent. */
  function request(message) {
    const id = ++lastId;
    return new Promise((resolve) => {
      pending.set(id, { sent: { ...message, id }, resolve });
      sendNow({ ...message, id });
    });
  }

  open();
  return {
    request,
    close() {
      isClosed = true;
      socket.close(1000);
    },
  };
}
