import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { Button, type ButtonLook } from '../shared/components/button.tsx';
import { Countdown } from '../shared/components/countdown.tsx';
import { Price } from '../shared/components/price.tsx';
import { t } from '../shared/i18n.ts';
import { TimedText } from './buy-button.tsx';
import { HoldLine } from './hold-line.tsx';
import { keptHolds, keptNow } from './kept-holds.ts';

const TICK_MS = 100;

/** What a viewer whose sign-in has ended can still pay, and what needs a new one. */
export function KeptList({ look = 'filled' }: { look?: ButtonLook }) {
  const now = useSignal(keptNow());
  const holds = keptHolds(now.value);
  const hasAny = holds.length > 0;
  useEffect(() => {
    if (!hasAny) return;
    const timer = setInterval(() => {
      now.value = keptNow();
    }, TICK_MS);
    return () => clearInterval(timer);
  }, [hasAny]);
  if (!hasAny) return null;
  return (
    <section class='kept' aria-label={t('kept.title')}>
      <p class='kept-text'>{`${t('kept.text')} ${t('kept.paid')}`}</p>
      <ul>
        {holds.map(({ id, items, amount, currency, createdAt, heldUntil, payUrl }) => {
          const isOver = now.value >= heldUntil;
          return (
            <li key={id} class='hold' data-state='kept' data-reservation={id}>
              <HoldLine now={now.value} from={createdAt} to={heldUntil} />
              <div class='hold-text'>
                <p class='hold-head'>
                  {t(isOver ? 'hold.timeUp' : 'hold.held')}
                  {!isOver && payUrl === null && (
                    <span class='hold-time'>
                      <span class='sr'>{t('hold.timeLeft')} </span>
                      <Countdown now={now} to={heldUntil} from={createdAt} />
                    </span>
                  )}
                </p>
                <p class='hold-items'>
                  <bdi class='clip'>{items}</bdi>
                  <Price amount={amount} currency={currency} />
                </p>
                {isOver && <p class='hold-next'>{t('kept.timeUp')}</p>}
                {!isOver && payUrl === null && <p class='hold-next'>{t('kept.next')}</p>}
              </div>
              {!isOver && payUrl !== null && (
                <Button look={look} class='buy' href={payUrl} data={{ 'data-action': 'pay' }}>
                  <TimedText text='buy.pay' item={items} to={heldUntil} from={createdAt} now={now} />
                </Button>
              )}
            </li>
          );
        })}
      </ul>
    </section>
  );
}
