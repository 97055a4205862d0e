import { Button, type ButtonLook } from '../shared/components/button.tsx';
import { Countdown, type CountdownProps } from '../shared/components/countdown.tsx';
import { notify } from '../shared/components/toast.tsx';
import { countdownText, t } from '../shared/i18n.ts';
import { useStable } from '../shared/stable.ts';
import type { BuyState } from './offers.ts';
import { type Action, useViewer } from './viewer-model.ts';

export interface BuyButtonProps {
  readonly sale: string;
  readonly sku: string;
  /** Product and variant. */
  readonly item: string;
  /** Is this the one primary action of what is on screen? */
  readonly primary: boolean;
}

/** One place for one unit: opens in …, buy, on hold or pay, yours, join the waitlist, ended. */
export function BuyButton(props: BuyButtonProps) {
  const { buyState } = useViewer();
  const { sale, sku, item } = props;
  const { value: state } = useStable(() => buyState(sale, sku), [buyState, sale, sku]);
  if (state === null) return null;
  const look = props.primary ? 'filled' : 'tonal';
  const press = (action: Action, text: string, its: ButtonLook) => (
    <Press {...props} action={action} look={its} text={text} />
  );
  switch (state.kind) {
    case 'buy':
      return press('buy', t(state.more ? 'buy.more' : 'buy'), look);
    case 'soldOut':
      return (
        <>
          <p class='note'>{t('soldOut')}</p>
          {press('join', t('wait.join'), 'outline')}
        </>
      );
    case 'waiting':
      return (
        <>
          <p class='note waiting figures'>{t('wait.place', { n: state.place })}</p>
          {press('leave', t('wait.leave'), 'text')}
        </>
      );
    case 'hold':
      return (
        <>
          <HoldButton reservation={state.reservation} until={state.until} item={item} look={look} />
          {state.more && press('buy', t('buy.more'), 'outline')}
        </>
      );
    default:
      return <Inactive {...props} state={state} />;
  }
}

function Press({
  action,
  look,
  text,
  sale,
  sku,
  item,
}: BuyButtonProps & { action: Action; look: ButtonLook; text: string }) {
  const { act } = useViewer();
  return (
    <Button
      look={look}
      class='buy'
      label={`${text}: ${item}`}
      data={{ 'data-sku': sku, 'data-sale': sale, 'data-action': action }}
      onClick={() => void act(action, sale, sku, item)}
    >
      {text}
    </Button>
  );
}

function HoldButton(props: { reservation: string; until: number; item: string; look: ButtonLook }) {
  const { store, checkout } = useViewer();
  const hold = store.reservations.value.find(({ id }) => id === props.reservation);
  const href = hold === undefined ? null : checkout(hold);
  const label = `${t(href === null ? 'hold.held' : 'buy.pay', { time: '' }).replace(/\s*·\s*$/, '')}: ${props.item}`;
  return (
    <Button
      look={href === null ? 'tonal' : props.look}
      class='buy'
      href={href ?? undefined}
      inactive={href === null}
      label={label}
      data={{ 'data-action': href === null ? 'none' : 'pay' }}
      onClick={() => href === null && notify(t('hold.next'))}
    >
      <TimedText
        text={href === null ? 'buy.hold' : 'buy.pay'}
        to={props.until}
        from={hold?.createdAt}
        now={store.now}
      />
    </Button>
  );
}

/** What cannot be pressed now stays in its place and keeps the focus. A press explains it. */
function Inactive({ state, sku, sale, item }: BuyButtonProps & { state: BuyState }) {
  const { store } = useViewer();
  const text = inactiveText(state);
  // Screen readers would read a countdown in the label again and again.
  const label = `${state.kind === 'opens' ? t('buy.soon') : text}: ${item}`;
  const reason = (): string =>
    state.kind === 'opens' ? t('buy.opens', { time: countdownText(state.at - store.now.peek()) }) : text;
  return (
    <Button
      class='buy'
      inactive
      label={label}
      data={{ 'data-sku': sku, 'data-sale': sale, 'data-action': 'none' }}
      onClick={() => notify(`${item}: ${reason()}.`)}
    >
      {state.kind === 'opens' ? <TimedText text='buy.opens' to={state.at} now={store.now} /> : text}
    </Button>
  );
}

function inactiveText({ kind }: BuyState): string {
  switch (kind) {
    case 'sending':
    case 'yours':
    case 'limit':
    case 'buyersOnly':
    case 'soon':
      return t(`buy.${kind}`);
    case 'paused':
    case 'ended':
    case 'cancelled':
    case 'draft':
      return t(`sale.${kind}`);
    default:
      return '';
  }
}

type TimedKey = 'buy.hold' | 'buy.pay' | 'buy.opens';

/** A text with a countdown inside, in the order of the language. */
export function TimedText({ text, ...time }: { text: TimedKey } & CountdownProps) {
  const [before = '', after = ''] = t(text, { time: '\u0000' }).split('\u0000');
  return (
    <span>
      {before}
      <Countdown {...time} />
      {after}
    </span>
  );
}
