import type { ReservationView } from '../../protocol/messages.ts';
import { Button, type ButtonLook } from '../shared/components/button.tsx';
import { Countdown, type CountdownProps } from '../shared/components/countdown.tsx';
import { notify } from '../shared/components/toast.tsx';
import { countdownText, t } from '../shared/i18n.ts';
import { useStable } from '../shared/stable.ts';
import { canPayKept } from './kept-holds.ts';
import type { BuyState } from './offers.ts';
import { isTokenLate, wayIn } from './session.ts';
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
    case 'buyersOnly':
      if (wayIn.value !== null && !isTokenLate.value) return <JoinButton {...props} />;
      return <Inactive {...props} state={state} />;
    case 'hold':
      return (
        <>
          <HoldButton reservation={state.reservation} item={item} look={look} />
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

/** A guest who can sign in on this page. */
function JoinButton({ sale, sku, item, primary }: BuyButtonProps) {
  const { sheet } = useViewer();
  return (
    <Button
      look={primary && !canPayKept() ? 'filled' : 'tonal'}
      class='buy'
      label={`${t('buy.join')}: ${item}`}
      data={{ 'data-sku': sku, 'data-sale': sale, 'data-action': 'sign-in' }}
      onClick={() => {
        sheet.value = 'join';
      }}
    >
      {t('buy.join')}
    </Button>
  );
}

function HoldButton(props: { reservation: string; item: string; look: ButtonLook }) {
  const { store, isTimeUp } = useViewer();
  const hold = store.reservations.value.find(({ id }) => id === props.reservation);
  const { value: isOver } = useStable(() => hold === undefined || isTimeUp(hold), [isTimeUp, hold]);
  if (hold !== undefined && !isOver) return <RunningHold {...props} hold={hold} />;
  return (
    <Button
      class='buy'
      inactive
      label={`${t('hold.timeUp')}: ${props.item}`}
      data={{ 'data-action': 'none' }}
      onClick={() => notify(t('hold.timeUpNext'))}
    >
      {t('hold.timeUp')}
    </Button>
  );
}

function RunningHold({ hold, item, look }: { hold: ReservationView; item: string; look: ButtonLook }) {
  const { checkout, releases } = useViewer();
  if (checkout(hold) !== null && releases.at.value.has(hold.id))
    return (
      <Button
        class='buy'
        inactive
        label={`${t('hold.releasing')}: ${item}`}
        data={{ 'data-action': 'none' }}
        onClick={() => notify(t('hold.releasingNext'))}
      >
        {t('hold.releasing')}
      </Button>
    );
  if (checkout(hold) !== null) return <PayButton hold={hold} item={item} look={look} />;
  return (
    <Button look='tonal' class='buy' inactive data={{ 'data-action': 'none' }} onClick={() => notify(t('hold.next'))}>
      <HoldTime text='buy.hold' hold={hold} item={item} />
    </Button>
  );
}

/** A link to where the hold is paid. It is not there while a release can be undone. */
export function PayButton({ hold, item, look }: { hold: ReservationView; item: string; look: ButtonLook }) {
  const { checkout } = useViewer();
  return (
    <Button look={look} class='buy' href={checkout(hold) ?? ''} data={{ 'data-action': 'pay' }}>
      <HoldTime text='buy.pay' hold={hold} item={item} />
    </Button>
  );
}

function HoldTime({ text, hold, item }: { text: TimedKey; hold: ReservationView; item: string }) {
  const { store } = useViewer();
  return <TimedText text={text} item={item} to={hold.heldUntil} from={hold.createdAt} now={store.now} />;
}

/** What cannot be pressed now stays in its place and keeps the focus. A press explains it. */
function Inactive({ state, sku, sale, item }: BuyButtonProps & { state: BuyState }) {
  const { store } = useViewer();
  const text = inactiveText(state);
  const reason = (): string =>
    state.kind === 'opens'
      ? `${t('buy.opens', { time: countdownText(state.at - store.now.peek()) })}.`
      : reasonOf(state);
  return (
    <Button
      class='buy'
      inactive
      label={state.kind === 'opens' ? undefined : `${text}: ${item}`}
      data={{ 'data-sku': sku, 'data-sale': sale, 'data-action': 'none' }}
      onClick={() => notify(`${item}: ${reason()}`)}
    >
      {state.kind === 'opens' ? <TimedText text='buy.opens' item={item} to={state.at} now={store.now} /> : text}
    </Button>
  );
}

function inactiveText({ kind }: BuyState): string {
  switch (kind) {
    case 'sending':
    case 'yours':
    case 'limit':
    case 'buyersOnly':
    case 'paused':
    case 'soon':
      return t(`buy.${kind}`);
    case 'viewersOnly':
      return t('buy.buyersOnly');
    case 'ended':
    case 'cancelled':
    case 'draft':
      return t(`sale.${kind}`);
    default:
      return '';
  }
}

/** Why it cannot be pressed, and what to do. */
function reasonOf(state: BuyState): string {
  if (state.kind === 'paused') return t('sale.pausedText');
  if (state.kind === 'viewersOnly') return t('join.viewer');
  if (state.kind === 'buyersOnly') return t(isTokenLate.value ? 'join.late' : 'join.link');
  return `${inactiveText(state)}.`;
}

type TimedKey = 'buy.hold' | 'buy.pay' | 'buy.opens';

/**
 * A text with a countdown inside, in the order of the language. Screen readers get the words and
 * the item, because they would read the countdown again and again.
 */
export function TimedText({ text, item, ...time }: { text: TimedKey; item: string } & CountdownProps) {
  const [before = '', between = '', after = ''] = t(text, { time: '\ue000' }).split(/(\s*·?\s*)\ue000/);
  return (
    <>
      <span class='sr'>{`${`${before}${after}`.trim()}: ${item}`}</span>
      <span aria-hidden='true'>
        {`${before}${between}`}
        <Countdown {...time} />
        {after}
      </span>
    </>
  );
}
