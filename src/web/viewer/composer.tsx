import { useComputed, useSignal, useSignalEffect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { LIMITS } from '../../protocol/limits.ts';
import { Button } from '../shared/components/button.tsx';
import { Icon } from '../shared/components/icon.tsx';
import { notify } from '../shared/components/toast.tsx';
import { t, waitText } from '../shared/i18n.ts';
import { Hearts } from './hearts.tsx';
import { isTokenLate, wayIn } from './session.ts';
import { refusalText, useViewer } from './viewer-model.ts';

const MISSED_COLLECTED_MS = 2_000;

/** Why the viewer may not write until then. */
interface Pause {
  readonly text: 'chat.slow' | 'chat.muted';
  readonly until: number;
}

/** The bottom bar: message, heart and, where the products are in a sheet, the shop. */
export function Composer({ hasShop }: { hasShop: boolean }) {
  const { store, sheet } = useViewer();
  const viewer = store.viewer.value;
  const products = store.products.value.length;
  const isOver = store.show.value?.state === 'ended';
  return (
    <div class='bar'>
      {isOver && <p class='bar-note'>{t('error.show_ended')}</p>}
      {!isOver && (viewer?.role === 'guest' ? <GuestField /> : <MessageField />)}
      <Hearts disabled={isOver || viewer === null || viewer.role === 'guest'} />
      {hasShop && (
        <Button
          class='open-shop'
          label={t('shop.open', { n: products })}
          onClick={() => {
            sheet.value = 'shop';
          }}
        >
          <Icon name='bag' />
          <span>{t('shop')}</span>
        </Button>
      )}
    </div>
  );
}

function GuestField() {
  const { sheet } = useViewer();
  if (isTokenLate.value) return <p class='bar-note'>{t('join.late')}</p>;
  if (wayIn.value === null) return <p class='bar-note'>{t('join.link')}</p>;
  return (
    <Button
      look='tonal'
      class='bar-join'
      onClick={() => {
        sheet.value = 'join';
      }}
    >
      {t('join.chat')}
    </Button>
  );
}

function MessageField() {
  const { store, rememberOwn } = useViewer();
  const input = useRef<HTMLInputElement>(null);
  const pause = useSignal<Pause | null>(null);
  const note = useComputed(() => {
    const { mutedUntil } = store.viewer.value ?? {};
    const pauses = [mutedUntil === undefined ? null : { text: 'chat.muted' as const, until: mutedUntil }, pause.value];
    const current = pauses.find((each) => each !== null && each.until > store.now.value);
    return current ? t(current.text, { time: waitText(current.until - store.now.value) }) : null;
  });
  useMuteNote();
  useMissedNote();
  const waitFor = (text: Pause['text'], ms: number): void => {
    const until = store.client.serverNow() + ms;
    store.tickUntil(until);
    pause.value = { text, until };
  };

  const send = async (): Promise<void> => {
    const field = input.current;
    const text = field?.value.trim() ?? '';
    if (field === null || text === '' || note.peek() !== null) return;
    field.value = '';
    const outcome = await store.client.chat(text);
    const { show, viewer } = store;
    if (outcome.ok) {
      rememberOwn(outcome.value.chat);
      const slowMs = show.value?.slowModeMs ?? 0;
      const isFree = viewer.value?.role === 'moderator' || viewer.value?.role === 'host';
      if (slowMs > 0 && !isFree) waitFor('chat.slow', slowMs);
      return;
    }
    const { code, retryAfterMs } = outcome.error;
    if (retryAfterMs !== undefined && (code === 'muted' || code === 'rate_limited'))
      waitFor(code === 'muted' ? 'chat.muted' : 'chat.slow', retryAfterMs);
    notify(refusalText(outcome.error));
    // Restores the text for another try, unless the viewer has started a new one.
    if (field.value === '') field.value = text;
  };

  const isOff = store.viewer.value === null;
  return (
    <form
      class='bar-form'
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <label>
        <span class='sr'>{t('chat.label')}</span>
        <input
          ref={input}
          class='field'
          type='text'
          maxLength={LIMITS.chatTextCharsMax}
          autoComplete='off'
          enterkeyhint='send'
          disabled={isOff}
          placeholder={note.value ?? t('chat.write')}
        />
      </label>
      <Button look='icon' type='submit' class='send' disabled={isOff || note.value !== null} label={t('chat.send')}>
        <Icon name='send' />
      </Button>
      {note.value !== null && <span class='bar-pause figures'>{note.value}</span>}
    </form>
  );
}

/** Shows that a host has muted the viewer, or lifted the mute, while they watch. */
function useMuteNote(): void {
  const { store } = useViewer();
  const known = useRef<number | null>(null);
  useSignalEffect(() => {
    const { value } = store.viewer;
    if (value === null) return;
    const { mutedUntil = 0 } = value;
    const isMuted = mutedUntil > store.client.serverNow();
    if (known.current !== null && isMuted && mutedUntil !== known.current) notify(t('error.muted'));
    if (mutedUntil === 0 && (known.current ?? 0) > store.client.serverNow()) notify(t('chat.unmuted'));
    known.current = mutedUntil;
  });
}

/** Collects counts, because a busy chat leaves out messages in every frame. */
function useMissedNote(): void {
  const { store } = useViewer();
  useEffect(() => {
    let missed = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const stop = store.client.on('missed', (count) => {
      missed += count;
      timer ??= setTimeout(() => {
        notify(t('chat.missed', { n: missed }));
        missed = 0;
        timer = undefined;
      }, MISSED_COLLECTED_MS);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [store]);
}
