import { Button } from '../shared/components/button.tsx';
import { Badge } from '../shared/components/chip.tsx';
import { Icon } from '../shared/components/icon.tsx';
import { dateTime, number, t } from '../shared/i18n.ts';
import { useViewer } from './viewer-model.ts';

export function TopBar() {
  const { store, show, sheet, holds } = useViewer();
  const { value } = show;
  const hasOrders = store.reservations.value.length > 0;
  return (
    <header class='top'>
      {value?.state === 'live' && <Badge look='live'>{t('live')}</Badge>}
      {value?.state === 'ended' && <Badge>{t('ended')}</Badge>}
      {value?.state === 'planned' && value.startsAt !== null && <Badge>{dateTime(value.startsAt)}</Badge>}
      <h1 class='clip' title={value?.title}>
        <bdi>{value?.title ?? t('connecting')}</bdi>
      </h1>
      <Viewers />
      {hasOrders && (
        <Button
          look='icon'
          class='mine'
          label={t('holds.title')}
          onClick={() => {
            sheet.value = 'holds';
          }}
        >
          <Icon name='receipt' />
          {holds.value.length > 0 && <span class='dot figures'>{number(holds.value.length)}</span>}
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
