import { Button } from '../shared/components/button.tsx';
import { Badge } from '../shared/components/chip.tsx';
import { Icon } from '../shared/components/icon.tsx';
import { dateTime, number, t } from '../shared/i18n.ts';
import { useViewer } from './viewer-model.ts';

export function TopBar() {
  const { store, show, sheet, holds } = useViewer();
  const { value } = show;
  const held = t('holds.count', { n: holds.value.length });
  const hasOrders = store.reservations.value.length > 0;
  return (
    <header class='top'>
      {value?.state === 'live' && <Badge look='live'>{t('live')}</Badge>}
      {value?.state === 'ended' && <Badge>{t('ended')}</Badge>}
      {value?.state === 'planned' && value.startsAt !== null && <Badge>{dateTime(value.startsAt)}</Badge>}
      <h1 class='clip' dir='auto' title={value?.title}>
        {value?.title ?? t('connecting')}
      </h1>
      <Viewers />
      {hasOrders && (
        <Button
          look='icon'
          class='mine'
          onClick={() => {
            sheet.value = 'holds';
          }}
        >
          <span class='sr'>{holds.value.length > 0 ? `${t('holds.title')}: ${held}` : t('holds.title')}</span>
          <Icon name='receipt' />
          {holds.value.length > 0 && (
            <span class='dot figures' aria-hidden='true'>
              {number(holds.value.length)}
            </span>
          )}
        </Button>
      )}
      <span class='sr' role='status'>
        {store.status.value.at === 'open' ? t('connected') : t('connecting')}
      </span>
    </header>
  );
}

function Viewers() {
  const { store } = useViewer();
  const n = store.viewers.value;
  // The first count arrives within a second; until then it is unknown.
  if (store.show.value === null || n === 0) return null;
  return (
    <span class='viewers figures'>
      <Icon name='users' />
      <span aria-hidden='true'>{number(n)}</span>
      <span class='sr'>{t('viewers', { n })}</span>
    </span>
  );
}
