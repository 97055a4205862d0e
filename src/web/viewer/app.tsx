import { signal, useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { ROOT } from '../shared/api.ts';
import { Button } from '../shared/components/button.tsx';
import { EmptyState } from '../shared/components/empty-state.tsx';
import { Skeleton } from '../shared/components/skeleton.tsx';
import { Toast } from '../shared/components/toast.tsx';
import { t, textOrNull } from '../shared/i18n.ts';
import { Announcement, ConnectionBanner, LateToken } from './banners.tsx';
import { Chat } from './chat.tsx';
import { Composer } from './composer.tsx';
import { Featured } from './featured.tsx';
import { HoldsBar, HoldsSheet } from './holds.tsx';
import { JoinSheet, ShowSheet, signInText } from './join.tsx';
import { useKeptFocus } from './kept-focus.ts';
import { canPayKept } from './kept-holds.ts';
import { KeptList } from './kept-list.tsx';
import { SaleChips } from './sale-chips.tsx';
import { isTokenLate, open, phase } from './session.ts';
import { Shelf, ShopSheet } from './shelf.tsx';
import { useSpokenSales } from './spoken.ts';
import { Stage, type VideoShape } from './stage.tsx';
import { TopBar } from './top-bar.tsx';
import { useViewer, ViewerContext } from './viewer-model.ts';

/** Also a phone that is held sideways: one column would not fit. */
const wideScreen = matchMedia('(min-width: 900px), (min-width: 640px) and (max-height: 520px)');
const isWide = signal(wideScreen.matches);
wideScreen.addEventListener('change', () => {
  isWide.value = wideScreen.matches;
});

const TOKEN_EXPIRED = 4201;
const FORBIDDEN = 4202;
const NO_SHOW = 4203;
const TAKEN_OVER = 4204;

export function App({ isEmbedded }: { isEmbedded: boolean }) {
  const now = phase.value;
  if (now.at === 'failed') return <Fatal code={now.code} text={now.text} />;
  if (now.at !== 'running')
    return (
      <>
        <Loading />
        {now.at === 'askShow' && <ShowSheet />}
        {now.at === 'askName' && <JoinSheet />}
      </>
    );
  return (
    <ViewerContext.Provider value={now.viewer} key={now.viewer}>
      <Page isEmbedded={isEmbedded} />
    </ViewerContext.Provider>
  );
}

function Page({ isEmbedded }: { isEmbedded: boolean }) {
  const { store, show, sheet } = useViewer();
  useSpokenSales();
  useKeptFocus();
  const shape = useSignal<VideoShape>('wide');
  const title = show.value?.title;
  useEffect(() => {
    if (title !== undefined) document.title = title;
  }, [title]);
  const { value: status } = store.status;
  if (status.at === 'closed') return <Fatal code={status.code} text={null} />;
  const closeSheet = (): void => {
    sheet.value = null;
  };
  const isLoading = show.value === null;
  const hasVideo = !isEmbedded && show.value?.videoUrl != null;
  const isFilmed = hasVideo && shape.value !== 'failed';
  const className = ['page', isWide.value ? 'wide' : 'narrow', isEmbedded ? 'embedded' : ''];
  if (isFilmed) className.push('filmed', !isWide.value && shape.value === 'tall' ? 'behind' : '');
  return (
    <>
      <a class='skip' href='#now'>
        {t('skip')}
      </a>
      <div class={className.filter((name) => name !== '').join(' ')}>
        <main class='show'>
          <div class='head'>
            <TopBar />
            {hasVideo && <Stage shape={shape} />}
          </div>
          <ConnectionBanner />
          <Announcement />
          <section class='now' id='now' tabIndex={-1} aria-label={t('shop.next')}>
            {isLoading ? <NowSkeleton /> : <SaleChips />}
            {!isLoading && <Featured />}
          </section>
          {isWide.value && !isLoading && <Shelf />}
        </main>
        <section class='side' aria-label={t('chat')}>
          <Chat />
          <HoldsBar />
          <Composer hasShop={!isWide.value} />
        </section>
      </div>
      {sheet.value === 'shop' && <ShopSheet onClose={closeSheet} />}
      {sheet.value === 'holds' && <HoldsSheet onClose={closeSheet} />}
      {sheet.value === 'join' && <JoinSheet onClose={closeSheet} />}
      {sheet.value === null && <Toast />}
    </>
  );
}

function NowSkeleton() {
  return (
    <div class='card featured' aria-hidden='true'>
      <Skeleton class='line-30' />
      <Skeleton class='art' />
      <div class='featured-text'>
        <Skeleton class='line-60' />
        <Skeleton class='line-40' />
      </div>
      <Skeleton class='line-button' />
    </div>
  );
}

function Loading() {
  return (
    <div class={`page ${isWide.value ? 'wide' : 'narrow'}`}>
      <main class='show' aria-busy='true'>
        <div class='head'>
          <header class='top'>
            <h1 class='clip'>{t('connecting')}</h1>
          </header>
        </div>
        <div role='status'>{isTokenLate.value && <LateToken />}</div>
        <section class='now'>
          <NowSkeleton />
        </section>
      </main>
      <div class='side' />
    </div>
  );
}

/** The show cannot be seen: why, and what to do. */
function Fatal({ code, text }: { code: number; text: string | null }) {
  const isTakenOver = code === TAKEN_OVER;
  const isMissing = code === NO_SHOW;
  const isRefused = code === TOKEN_EXPIRED || code === FORBIDDEN;
  const title = textOrNull(`fatal.${code}`) ?? t(code === 0 ? 'fatal.load' : 'fatal.other');
  const look = canPayKept() ? 'outline' : 'filled';
  const signIn = isRefused ? signInText() : null;
  return (
    <main class='fatal'>
      <EmptyState
        icon='alert'
        heading='h1'
        title={title}
        alert
        action={
          isMissing ? (
            <Button look='filled' onClick={() => location.assign(ROOT)}>
              {t('fatal.shows')}
            </Button>
          ) : (
            <Button look={look} onClick={() => void open({ again: isRefused })}>
              {t(isTakenOver ? 'fatal.here' : isRefused ? 'fatal.again' : 'retry')}
            </Button>
          )
        }
      >
        {signIn ??
          textOrNull(`fatal.${code}.text`) ??
          text ??
          t(code === 0 ? 'error.redis_unavailable' : 'fatal.other.text')}
      </EmptyState>
      {!isMissing && <KeptList />}
      <Toast />
    </main>
  );
}
