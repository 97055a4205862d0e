/**
 * The chat: a bounded log that stays at its end unless the reader scrolled up, the send box, and
 * hearts.
 */
import type { ChatMessage, StampedeClient } from '../client/index.ts';
import { byId, element, setHidden, setText } from './dom.ts';
import { refusalText } from './words.ts';

const SHOWN_MAX = 200;
const AT_END_PX = 40;
const FLOATS_MAX = 12;
const NOTE_MS = 6_000;
const MISSED_GATHERED_MS = 2_000;
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
    this.#newest.addEventListener('click', () => this.#toEnd());
    this.#log.addEventListener('scroll', () => {
      if (this.#atEnd()) setHidden(this.#newest, true);
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
    client.on('missed', (count) => this.#sayMissed(count));
    client.on('state', () => this.#showHearts());
    client.on('welcome', ({ you }) => this.#allow(you.role !== 'guest'));
  }

  /** The chat came into view on a narrow screen. */
  shown(): void {
    this.#unreadCount = 0;
    setHidden(this.#unread, true);
    this.#toEnd();
  }

  #append(messages: readonly ChatMessage[], live: boolean): void {
    const stick = this.#atEnd();
    const lines = messages
      .filter((message) => this.#log.querySelector(`[data-id="${message.id}"]`) === null)
      .map(lineOf);
    this.#log.append(...lines);
    while (this.#log.childElementCount > SHOWN_MAX) this.#log.firstElementChild?.remove();
    if (stick || !live) this.#toEnd();
    else setHidden(this.#newest, false);
    if (live && document.body.dataset.tab !== 'chat') {
      this.#unreadCount += lines.length;
      setText(this.#unread, this.#unreadCount > 99 ? '99+' : String(this.#unreadCount));
      setHidden(this.#unread, this.#unreadCount === 0);
    }
  }

  #redraw(): void {
    if (this.#client === null) return;
    this.#log.replaceChildren(...this.#client.model.chat.slice(-SHOWN_MAX).map(lineOf));
  }

  async #send(): Promise<void> {
    const text = this.#text.value.trim();
    if (text === '' || this.#client === null) return;
    this.#text.value = '';
    const outcome = await this.#client.chat(text);
    if (outcome.ok) return;
    this.#say(refusalText(outcome.error));
    // What was not said goes back into the box, unless something new is being written there.
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
    // Without animation (reduced motion) there would be no end.
    setTimeout(() => heart.remove(), 2_500);
    floats.append(heart);
  }

  #allow(mayWrite: boolean): void {
    this.#text.disabled = !mayWrite;
    byId<HTMLButtonElement>('chat-send').disabled = !mayWrite;
    byId<HTMLButtonElement>('heart').disabled = !mayWrite;
    this.#text.placeholder = mayWrite ? 'Say something' : 'You are only watching';
  }

  /**
   * In a loud room every frame leaves something out: said now and then, because a screen reader
   * reads each note.
   */
  #sayMissed(count: number): void {
    this.#missed += count;
    this.#missedTimer ||= window.setTimeout(() => {
      this.#say(
        this.#missed === 1 ? 'One message was left out.' : `${this.#missed} messages were left out: the chat is busy.`,
      );
      this.#missed = 0;
      this.#missedTimer = 0;
    }, MISSED_GATHERED_MS);
  }

  #say(text: string): void {
    setText(this.#note, text);
    clearTimeout(this.#noteTimer);
    this.#noteTimer = window.setTimeout(() => setText(this.#note, ''), NOTE_MS);
  }

  #atEnd(): boolean {
    return this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < AT_END_PX;
  }

  #toEnd(): void {
    this.#log.scrollTop = this.#log.scrollHeight;
    setHidden(this.#newest, true);
  }
}

function lineOf(message: ChatMessage): HTMLElement {
  const line = element('p', 'line');
  line.dataset.id = String(message.id);
  line.append(element('span', 'name', message.name));
  const mark = MARKS[message.mark];
  if (mark !== undefined) line.append(element('span', `mark ${mark}`, mark));
  line.append(element('span', 'text', message.text));
  return line;
}
