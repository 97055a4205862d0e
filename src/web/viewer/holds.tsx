import type { ReservationView } from '../../protocol/messages.ts';
import { Button } from '../shared/components/button.tsx';
import { Badge, type BadgeLook } from '../shared/components/chip.tsx';
import { Countdown } from '../shared/components/countdown.tsx';
import { EmptyState } from '../shared/components/empty-state.tsx';
import { Price } from '../shared/components/price.tsx';
import { Sheet } from '../shared/components/sheet.tsx';
import { say } from '../shared/components/toast.tsx';
import { t, waitText } from '../shared/i18n.ts';
import { PayButton } from './buy-button.tsx';
import { HoldLine } from './hold-line.tsx';
import { KeptList } from './kept-list.tsx';
import { UNDO_MS } from './releases.ts';
import { useViewer } from './viewer-model.ts';

const LOOKS: Readonly<Partial<Record<ReservationView['state'], BadgeLook>>> = { held: 'warning', confirmed: 'success' };

/** The hold that expires first, above the bottom bar; for a guest those of an ended sign-in. */
export function HoldsBar() {
  const { holds, sheet, store } = useViewer();
  const [hold] = holds.value;
  if (store.viewer.value?.role === 'guest') return <KeptList />;
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
  const { store, itemsText, checkout, isHoldFeatured, isTimeUp, releases } = useViewer();
  const isOver = isTimeUp(hold);
  const isReleasing = releases.at.value.has(hold.id);
  const next = isOver ? t('hold.timeUpNext') : checkout(hold) === null ? t('hold.next') : null;
  return (
    <div class='hold' data-state='held' data-reservation={hold.id}>
      <HoldLine now={store.now.value} from={hold.createdAt} to={hold.heldUntil} />
      <div class='hold-text'>
        <p class='hold-head'>
          {t(isOver ? 'hold.timeUp' : isReleasing ? 'hold.releasing' : hold.offer ? 'hold.offer' : 'hold.held')}
          {!isOver && !isReleasing && (
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
          <ReleaseButton hold={hold} />
          {checkout(hold) !== null && !isReleasing && (inSheet || !isHoldFeatured.value) && (
            <PayButton look='filled' hold={hold} item={itemsText(hold)} />
          )}
        </div>
      )}
    </div>
  );
}

/** A press can be undone in the same place for some seconds. Then the release is sent. */
function ReleaseButton({ hold }: { hold: ReservationView }) {
  const { store, itemsText, releases, sending } = useViewer();
  const item = itemsText(hold);
  const at = releases.at.value.get(hold.id);
  const isSending = sending.value.has(hold.id);
  const press = (): void => {
    if (isSending) return;
    if (at === undefined) releases.start(hold.id);
    else releases.undo(hold.id);
    say(at === undefined ? t('said.releasing', { item, time: waitText(UNDO_MS) }) : t('said.kept', { item }));
  };
  // The clock of the page ticks: right after the press it is a little behind.
  const leftMs = Math.min(UNDO_MS, (at ?? 0) - store.now.value);
  const secondsLeft = Math.max(1, Math.ceil(leftMs / 1000));
  return (
    <Button
      look={at === undefined ? 'text' : 'outline'}
      inactive={isSending}
      label={`${t(at === undefined ? 'hold.release' : 'hold.undo')}: ${item}`}
      onClick={press}
    >
      {at === undefined ? t('hold.release') : t('hold.undoIn', { n: secondsLeft })}
    </Button>
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
