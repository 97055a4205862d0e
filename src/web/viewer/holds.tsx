import { useState } from 'preact/hooks';
import type { ReservationView } from '../../protocol/messages.ts';
import { Button } from '../shared/components/button.tsx';
import { Badge, type BadgeLook } from '../shared/components/chip.tsx';
import { Countdown } from '../shared/components/countdown.tsx';
import { EmptyState } from '../shared/components/empty-state.tsx';
import { Price } from '../shared/components/price.tsx';
import { Sheet } from '../shared/components/sheet.tsx';
import { t } from '../shared/i18n.ts';
import { PayButton } from './buy-button.tsx';
import { useViewer } from './viewer-model.ts';

const LOOKS: Readonly<Partial<Record<ReservationView['state'], BadgeLook>>> = { held: 'warning', confirmed: 'success' };

/** The hold that expires first, above the bottom bar. */
export function HoldsBar() {
  const { holds, sheet } = useViewer();
  const [hold] = holds.value;
  if (hold === undefined) return null;
  const others = holds.value.length - 1;
  return (
    <section class='holds-bar' aria-label={t('holds.title')}>
      <Hold hold={hold} />
      {others > 0 && (
        <Button
          look='text'
          class='others'
          onClick={() => {
            sheet.value = 'holds';
          }}
        >
          {t('holds.count', { n: others + 1 })}
        </Button>
      )}
    </section>
  );
}

function Hold({ hold, inSheet = false }: { hold: ReservationView; inSheet?: boolean }) {
  const { store, itemsText, checkout, isHoldFeatured, isTimeUp, release } = useViewer();
  const [isReleasing, setReleasing] = useState(false);
  const rest = (hold.heldUntil - store.now.value) / Math.max(1, hold.heldUntil - hold.createdAt);
  const share = `scaleX(${Math.max(0, Math.min(1, rest))})`;
  const isOver = isTimeUp(hold);
  const next = isOver ? t('hold.timeUpNext') : checkout(hold) === null ? t('hold.next') : null;
  return (
    <div class='hold' data-state='held' data-reservation={hold.id}>
      <div class='hold-line' aria-hidden='true'>
        <span style={{ transform: share }} />
      </div>
      <div class='hold-text'>
        <p class='hold-head'>
          {t(isOver ? 'hold.timeUp' : hold.offer ? 'hold.offer' : 'hold.held')}
          {!isOver && (
            <span class='hold-time'>
              <span class='sr'>{t('hold.timeLeft')} </span>
              <Countdown now={store.now} to={hold.heldUntil} from={hold.createdAt} />
            </span>
          )}
        </p>
        <p class='hold-items'>
          <bdi class='clip'>{itemsText(hold)}</bdi>
          <Price amount={hold.amount} currency={hold.currency} />
        </p>
        {next !== null && <p class='hold-next'>{next}</p>}
      </div>
      {!isOver && (
        <div class='hold-actions'>
          <Button
            look='text'
            disabled={isReleasing}
            label={`${t('hold.release')}: ${itemsText(hold)}`}
            onClick={() => {
              setReleasing(true);
              void release(hold.id).finally(() => setReleasing(false));
            }}
          >
            {t('hold.release')}
          </Button>
          {checkout(hold) !== null && (inSheet || !isHoldFeatured.value) && (
            <PayButton look='filled' hold={hold} item={itemsText(hold)} />
          )}
        </div>
      )}
    </div>
  );
}

/** All holds and orders of the viewer, and what ended recently. */
export function HoldsSheet({ onClose }: { onClose: () => void }) {
  const { store, itemsText } = useViewer();
  const sorted = [...store.reservations.value].sort(
    (a, b) => Number(b.state === 'held') - Number(a.state === 'held') || b.createdAt - a.createdAt,
  );
  return (
    <Sheet title={t('holds.title')} onClose={onClose}>
      {sorted.length === 0 && (
        <EmptyState icon='receipt' title={t('holds.none')}>
          {t('holds.noneText')}
        </EmptyState>
      )}
      <ul class='orders'>
        {sorted.map((reservation) => (
          <li key={reservation.id}>
            {reservation.state === 'held' ? (
              <Hold hold={reservation} inSheet />
            ) : (
              <div class='hold' data-state={reservation.state} data-reservation={reservation.id}>
                <div class='hold-text'>
                  <p class='hold-items'>
                    <bdi>{itemsText(reservation)}</bdi>
                    <Price amount={reservation.amount} currency={reservation.currency} />
                  </p>
                  <p class='hold-state'>
                    <Badge look={LOOKS[reservation.state]}>{t(`hold.${reservation.state}`)}</Badge>
                    {reservation.orderRef !== undefined && (
                      <bdi class='clip muted'>{t('hold.order', { ref: reservation.orderRef })}</bdi>
                    )}
                  </p>
                </div>
              </div>
            )}
          </li>
        ))}
      </ul>
    </Sheet>
  );
}
