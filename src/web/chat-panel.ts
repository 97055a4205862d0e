/** The chat: a log that stays at its end unless the viewer scrolled up, the input, and hearts. */
import type { ChatMessage, StampedeClient } from '../client/index.ts';
import { byId, element, setHidden, setText } from './dom.ts';
import { refusalText } from './format.ts';

const SHOWN_MAX = 200;
const AT_END_PX = 40;
const FLOATS_MAX = 12;
const NOTE_MS = 6_000;
const MISSED_COLLECTED_MS = 2_000;
const MARKS: Readonly<Record<number, string>> = { 1: 'buyer', 2: 'moderator', 3: 'host' };

export class ChatPanel {
  readonly #log = byId('chat-log');
  readonly #newest = byId('chat-newest');
  readonly #note = byId('chat-note');
  readonly #text = byId<HTMLInputElement>('chat-text');
  readonly #unread = byId('unread');
  #client: StampedeClient | null = null;
  #unreadCount = 0;
  #noteTimer = 0;
  #missed = 0;
  #missedTimer = 0;
  #heartsShown = 0;

  constructor() {
    byId('chat-form').addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#send();
    });
    byId('heart').addEventListener('click', () => this.#heart());
    this.#newest.addEventListener('click', () => this.#scrollToEnd());
    this.#log.addEventListener('scroll', () => {
      if (this.#isAtEnd()) setHidden(this.#newest, true);
    });
  }

  attach(client: StampedeClient): void {
    this.#client = client;
    this.#log.replaceChildren();
    client.on('chat', ({ messages, history }) => this.#append(messages, !history));
    client.on('snapshot', (model) => {
      this.#log.replaceChildren();
      this.#append(model.chat, false);
    });
    client.on('event', (event) => {
      if (event.type === 'chat.removed') this.#redraw();
    });
    client.on('missed', (count) => this.#noteMissed(count));
    client.on('state', () => this.#showHearts());
    client.on('welcome', ({ you }) => this.#allow(you.role !== 'guest'));
  }

  /** Call it when a narrow screen shows the chat. */
  onShown(): void {
    this.#unreadCount = 0;
    setHidden(this.#unread, true);
    this.#scrollToEnd();
  }

  #append(messages: readonly ChatMessage[], live: boolean): void {
    const stick = this.#isAtEnd();
    const added = messages
      .filter((message) => this.#log.querySelector(`[data-id="${message.id}"]`) === null)
      .map(messageElement);
    this.#log.append(...added);
    while (this.#log.childElementCount > SHOWN_MAX) this.#log.firstElementChild?.remove();
    if (stick || !live) this.#scrollToEnd();
    else setHidden(this.#newest, false);
    if (live && document.body.dataset.tab !== 'chat') {
      this.#unreadCount += added.length;
      setText(this.#unread, this.#unreadCount > 99 ? '99+' : String(this.#unreadCount));
      setHidden(this.#unread, this.#unreadCount === 0);
    }
  }

  #redraw(): void {
    if (this.#client === null) return;
    this.#log.replaceChildren(...this.#client.model.chat.slice(-SHOWN_MAX).map(messageElement));
  }

  async #send(): Promise<void> {
    const text = this.#text.value.trim();
    if (text === '' || this.#client === null) return;
    this.#text.value = '';
    const outcome = await this.#client.chat(text);
    if (outcome.ok) return;
    this.#showNote(refusalText(outcome.error));
    // Restores the text for another try, unless the viewer has started a new one.
    if (this.#text.value === '') this.#text.value = text;
  }

  #heart(): void {
    if (this.#client === null) return;
    this.#client.heart();
    this.#float();
  }

  #showHearts(): void {
    const hearts = this.#client?.model.hearts ?? 0;
    setText(byId('hearts'), hearts.toLocaleString());
    for (let i = 0; i < Math.min(3, hearts - this.#heartsShown); i += 1) this.#float();
    this.#heartsShown = hearts;
  }

  #float(): void {
    const floats = byId('floats');
    if (floats.childElementCount >= FLOATS_MAX) return;
    const heart = element('span', 'float', '♥');
    heart.style.setProperty('--drift', `${Math.round(Math.random() * 48 - 24)}px`);
    heart.addEventListener('animationend', () => heart.remove());
    // With reduced motion there is no animation, so `animationend` never fires.
    setTimeout(() => heart.remove(), 2_500);
    floats.append(heart);
  }

  #allow(mayWrite: boolean): void {
    this.#text.disabled = !mayWrite;
    byId<HTMLButtonElement>('chat-send').disabled = !mayWrite;
    byId<HTMLButtonElement>('heart').disabled = !mayWrite;
    this.#text.placeholder = mayWrite ? 'Write a message' : 'Guests can only watch';
  }

  /** Collects counts, because a busy chat leaves out messages in every frame. */
  #noteMissed(count: number): void {
    this.#missed += count;
    this.#missedTimer ||= window.setTimeout(() => {
      const messages = this.#missed === 1 ? 'One message was' : `${this.#missed} messages were`;
      this.#showNote(`${messages} left out: the chat is busy.`);
      this.#missed = 0;
      this.#missedTimer = 0;
    }, MISSED_COLLECTED_MS);
  }

  #showNote(text: string): void {
    setText(this.#note, text);
    clearTimeout(this.#noteTimer);
    this.#noteTimer = window.setTimeout(() => setText(this.#note, ''), NOTE_MS);
  }

  #isAtEnd(): boolean {
    return this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < AT_END_PX;
  }

  #scrollToEnd(): void {
    this.#log.scrollTop = this.#log.scrollHeight;
    setHidden(this.#newest, true);
  }
}

function messageElement(message: ChatMessage): HTMLElement {
  const node = element('p', 'message');
  node.dataset.id = String(message.id);
  node.append(element('span', 'name', message.name));
  const mark = MARKS[message.mark];
  if (mark !== undefined) node.append(element('span', `mark ${mark}`, mark));
  node.append(element('span', 'text', message.text));
  return node;
}
