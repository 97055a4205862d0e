import { useState } from 'preact/hooks';
import { Banner } from '../shared/components/banner.tsx';
import { Button } from '../shared/components/button.tsx';
import { Icon } from '../shared/components/icon.tsx';
import { t } from '../shared/i18n.ts';
import { isTokenLate } from './session.ts';
import { useViewer } from './viewer-model.ts';

/** The first attempt of a visit shows skeletons instead. */
export function ConnectionBanner() {
  const { store } = useViewer();
  const { value: status } = store.status;
  const isLost = status.at === 'waiting' || (status.at === 'connecting' && (status.attempt > 1 || store.show.value));
  return (
    <div role='status'>
      {isLost && (
        <Banner
          icon='offline'
          look='warning'
          actions={
            <Button look='text' onClick={() => store.client.reconnect()}>
              {t('tryNow')}
            </Button>
          }
        >
          <span>{t('reconnecting')}</span>
        </Banner>
      )}
      {!isLost && isTokenLate.value && <LateToken />}
    </div>
  );
}

/** The shop has not sent the token of this viewer yet. */
export function LateToken() {
  return (
    <Banner icon='clock'>
      <span>{t('join.late')}</span>
    </Banner>
  );
}

/** One line that opens to the whole text. Dismissed until the next announcement. */
export function Announcement() {
  const { store, dismissedAt, dismiss } = useViewer();
  const [openAt, setOpenAt] = useState(0);
  const { value } = store.announcement;
  const isOver = (value?.until ?? Infinity) <= store.now.value;
  const isShown = value !== null && value.text !== '' && !isOver && value.at > dismissedAt.value;
  const isOpen = value !== null && openAt === value.at;
  return (
    <div role='status' aria-label={t('announcement')}>
      {isShown && (
        <Banner
          icon='announcement'
          actions={
            <Button look='icon' label={t('dismiss')} onClick={() => dismiss(value.at)}>
              <Icon name='close' />
            </Button>
          }
        >
          <button
            type='button'
            dir='auto'
            class={`announcement ${isOpen ? 'whole' : 'clip'}`}
            aria-expanded={isOpen}
            onClick={() => setOpenAt(isOpen ? 0 : value.at)}
          >
            {value.text}
          </button>
        </Banner>
      )}
    </div>
  );
}
