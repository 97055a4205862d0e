/** The viewer page: joins a show with the SDK and renders the SDK's model. */
import { type ConnectionState, connect, type StampedeClient } from '../client/index.ts';
import { ChatPanel } from './chat-panel.ts';
import { byId, setHidden, setText } from './dom.ts';
import { HoldsPanel } from './holds-panel.ts';
import { getTicket } from './join.ts';
import { SalePanel } from './sale-panel.ts';

const RENDER_MS = 100;
const TOAST_MS = 6_000;
const ATTEMPTS_BEFORE_WARNING = 3;

const chat = new ChatPanel();
let running: { client: StampedeClient; timer: number } | null = null;
let toastTimer = 0;

async function join(again: boolean): Promise<void> {
  if (running !== null) {
    clearInterval(running.timer);
    running.client.close();
    running = null;
  }
  setHidden(byId('problem'), true);
  try {
    const ticket = await getTicket({ again });
    start(
      connect({ url: ticket.gatewayUrl, show: ticket.show, ...(ticket.token === null ? {} : { token: ticket.token }) }),
    );
  } catch (error) {
    setText(byId('title'), 'Stampede');
    setStatus('closed');
    showProblem(error instanceof Error ? error.message : String(error));
  }
}

function start(client: StampedeClient): void {
  chat.attach(client);
  const sale = new SalePanel(client, { notify, speak });
  const holds = new HoldsPanel(client, notify);
  const render = (): void => {
    renderTop(client);
    sale.render();
    holds.render();
  };
  client.on('status', showStatus);
  client.on('event', render);
  client.on('you', render);
  client.on('lost', render);
  client.on('snapshot', render);
  client.on('page', render);
  showStatus(client.status);
  running = { client, timer: window.setInterval(render, RENDER_MS) };
}

function renderTop(client: StampedeClient): void {
  const { model, you } = client;
  if (model.show === null) return;
  setText(byId('title'), model.show.title);
  document.title = model.show.title;
  const live = byId('live');
  setHidden(live, model.show.state === 'planned' && model.show.startsAt === null);
  setText(live, model.show.state === 'live' ? 'Live' : model.show.state === 'ended' ? 'Ended' : 'Soon');
  live.dataset.state = model.show.state;
  setText(byId('viewers'), model.viewers.toLocaleString());
  setHidden(byId('who'), you === null);
  setText(byId('who'), you === null ? '' : (you.name ?? 'Guest'));
  const announcement = byId('announcement');
  const text =
    model.announcement !== null && client.serverNow() < (model.announcement.until ?? Number.POSITIVE_INFINITY)
      ? model.announcement.text
      : '';
  setHidden(announcement, text === '');
  setText(announcement, text);
}

const STATUS_TEXTS: Readonly<Record<ConnectionState['at'], string>> = {
  connecting: 'Connecting',
  open: 'Connected',
  waiting: 'Reconnecting',
  closed: 'Disconnected',
};

function setStatus(at: ConnectionState['at']): void {
  const node = byId('status');
  node.dataset.state = at;
  setText(node, STATUS_TEXTS[at]);
}

function showStatus(state: ConnectionState): void {
  setStatus(state.at);
  if (state.at === 'open') setHidden(byId('problem'), true);
  // Browsers hide why a connection was refused. An expired token is the likeliest cause.
  if (state.at === 'connecting' && state.attempt >= ATTEMPTS_BEFORE_WARNING)
    showProblem('Still no connection. Your link may have expired: join again or open a new link.');
  // 1000: this page closed the connection.
  if (state.at === 'closed' && state.code !== 1000)
    showProblem(`You were disconnected: ${state.reason === '' ? `code ${state.code}` : state.reason}`);
}

function showProblem(text: string): void {
  setText(byId('problem-text'), text);
  setHidden(byId('problem'), false);
}

function notify(text: string): void {
  const toast = byId('toast');
  setText(toast, text);
  toast.classList.add('shown');
  clearTimeout(toastTimer);
  toastTimer = window.setTimeout(() => toast.classList.remove('shown'), TOAST_MS);
}

function speak(text: string): void {
  setText(byId('speak'), text);
}

function showTab(tab: 'shop' | 'chat'): void {
  document.body.dataset.tab = tab;
  byId('tab-shop').setAttribute('aria-pressed', String(tab === 'shop'));
  byId('tab-chat').setAttribute('aria-pressed', String(tab === 'chat'));
  if (tab === 'chat') chat.onShown();
}

byId('tab-shop').addEventListener('click', () => showTab('shop'));
byId('tab-chat').addEventListener('click', () => showTab('chat'));
byId('problem-again').addEventListener('click', () => void join(true));
void join(false);
