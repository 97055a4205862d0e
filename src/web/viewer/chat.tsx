import { useComputed, useSignal, useSignalEffect } from '@preact/signals';
import { Component } from 'preact';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import type { ChatMessage } from '../../client/index.ts';
import { hueOf } from '../shared/components/art.tsx';
import { Button } from '../shared/components/button.tsx';
import { Badge } from '../shared/components/chip.tsx';
import { Icon } from '../shared/components/icon.tsx';
import { t } from '../shared/i18n.ts';
import { useViewer } from './viewer-model.ts';

const AT_END_PX = 48;
const MARK_LOOKS = { 1: undefined, 2: 'accent', 3: 'accent' } as const;

/**
 * Stays at its end, except while the viewer reads older messages: then the log does not move, and
 * a button says how many messages came since.
 */
export function Chat() {
  const { store, ownMessages } = useViewer();
  const log = useRef<HTMLDivElement>(null);
  const isAtEnd = useSignal(true);
  const shown = useSignal<readonly ChatMessage[]>(store.chat.peek());
  const unread = useComputed(() => {
    const last = shown.value.at(-1)?.id ?? 0;
    return isAtEnd.value ? 0 : store.chat.value.filter(({ id }) => id > last).length;
  });

  useSignalEffect(() => {
    const { value: newest } = store.chat;
    if (isAtEnd.value) {
      shown.value = newest;
      return;
    }
    // Removed messages disappear at once.
    const oldest = newest[0]?.id ?? 0;
    const known = new Set(newest.map(({ id }) => id));
    const kept = shown.peek().filter(({ id }) => id < oldest || known.has(id));
    if (kept.length !== shown.peek().length) shown.value = kept;
  });
  const scrollToEnd = (): void => {
    if (log.current !== null) log.current.scrollTop = log.current.scrollHeight;
  };
  useLayoutEffect(() => {
    if (isAtEnd.peek()) scrollToEnd();
  }, [shown.value]);
  useEffect(() => {
    if (log.current === null) return;
    const observer = new ResizeObserver(() => isAtEnd.peek() && scrollToEnd());
    observer.observe(log.current);
    return () => observer.disconnect();
  }, []);

  const isEmpty = shown.value.length === 0 && store.show.value !== null;
  const canWrite = store.viewer.value?.role !== 'guest' && store.show.value?.state !== 'ended';
  return (
    <div class='chat'>
      <div
        class='chat-log'
        ref={log}
        role='log'
        aria-label={t('chat.messages')}
        tabIndex={0}
        onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
          isAtEnd.value = scrollHeight - scrollTop - clientHeight < AT_END_PX;
        }}
      >
        {isEmpty && <p class='chat-empty'>{t(canWrite ? 'chat.empty' : 'chat.emptyGuest')}</p>}
        <div class='chat-list'>
          {shown.value.map((message) => (
            <Message key={message.id} message={message} isOwn={ownMessages.value.has(message.id)} />
          ))}
        </div>
      </div>
      {unread.value > 0 && (
        <Button
          look='outline'
          class='chat-new'
          onClick={() => {
            isAtEnd.value = true;
            scrollToEnd();
          }}
        >
          <Icon name='arrowDown' />
          {t('chat.new', { n: unread.value })}
        </Button>
      )}
    </div>
  );
}

/** A message never changes. */
class Message extends Component<{ message: ChatMessage; isOwn: boolean }> {
  override shouldComponentUpdate({ isOwn }: { isOwn: boolean }): boolean {
    return isOwn !== this.props.isOwn;
  }

  override render() {
    const { id, name, text, mark } = this.props.message;
    return (
      <p class={this.props.isOwn ? 'message own' : 'message'} data-id={id}>
        <bdi class='name' style={{ '--hue': String(hueOf(name)) }}>
          {name}
        </bdi>
        {(mark === 1 || mark === 2 || mark === 3) && <Badge look={MARK_LOOKS[mark]}>{t(`mark.${mark}`)}</Badge>}
        <span class='sr'>: </span>
        <bdi class='text'>{text}</bdi>
      </p>
    );
  }
}
