import { useEffect } from 'preact/hooks';
import { watchUrl } from '../shared/api.ts';
import { Art } from '../shared/components/art.tsx';
import { Button } from '../shared/components/button.tsx';
import { Badge } from '../shared/components/chip.tsx';
import { Countdown } from '../shared/components/countdown.tsx';
import { EmptyState } from '../shared/components/empty-state.tsx';
import { Icon } from '../shared/components/icon.tsx';
import { Skeleton } from '../shared/components/skeleton.tsx';
import { dateTime, number, t } from '../shared/i18n.ts';
import { type ListedSale, type ListedShow, listed, now } from './list.ts';

/** Above this a date says more than a countdown. */
const COUNTED_MS = 24 * 3_600_000;

export function Shows() {
  useEffect(() => {
    document.title = t('shows.title');
  }, []);
  const { value } = listed;
  return (
    <div class='shows'>
      <header class='shows-head'>
        <h1>{t('shows.title')}</h1>
      </header>
      <main>
        {value.at === 'loading' && <Loading />}
        {value.at === 'failed' && (
          <EmptyState icon='alert' title={t('shows.failed')} alert>
            {t('shows.failedText')}
          </EmptyState>
        )}
        {value.at === 'loaded' && value.shows.length === 0 && (
          <EmptyState icon='calendar' title={t('shows.emptyTitle')}>
            {t('shows.empty')}
          </EmptyState>
        )}
        {value.at === 'loaded' && (
          <>
            <Part title={t('shows.live')} shows={value.shows.filter(({ state }) => state === 'live')} />
            <Part title={t('shows.next')} shows={value.shows.filter(({ state }) => state === 'planned')} />
          </>
        )}
        <ById />
      </main>
    </div>
  );
}

function Part({ title, shows }: { title: string; shows: readonly ListedShow[] }) {
  if (shows.length === 0) return null;
  return (
    <section aria-label={title}>
      <h2>{title}</h2>
      <ul class='show-cards'>
        {shows.map((show) => (
          <li key={show.id}>
            <ShowCard show={show} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function ShowCard({ show: { id, title, state, startsAt, posterUrl, viewers, sales } }: { show: ListedShow }) {
  const isLive = state === 'live';
  const [sale] = sales;
  return (
    <a class='card show-card' href={watchUrl(id).href}>
      <div class='poster'>
        <Art id={id} title={title} imageUrl={posterUrl} />
        {isLive && <Badge look='live'>{t('live')}</Badge>}
        {isLive && (
          <span class='watching figures'>
            <Icon name='users' />
            <span aria-hidden='true'>{number(viewers)}</span>
            <span class='sr'>{t('viewers', { n: viewers })}</span>
          </span>
        )}
      </div>
      <div class='show-text'>
        <h3 class='two-lines' dir='auto'>
          {title}
        </h3>
        {!isLive && startsAt !== null && <Start at={startsAt} />}
        {sale !== undefined && <Sale sale={sale} />}
      </div>
    </a>
  );
}

function Start({ at }: { at: number }) {
  const isSoon = at - now.value < COUNTED_MS;
  return (
    <p class='show-line'>
      <Icon name='calendar' />
      {isSoon && at > now.value ? (
        <span>
          {t('shows.starts')}{' '}
          <strong>
            <Countdown now={now} to={at} />
          </strong>
        </span>
      ) : (
        <span>{dateTime(at)}</span>
      )}
    </p>
  );
}

const WORDS = { scheduled: 'sale.opens', open: 'sale.closes', paused: 'sale.pausedEnds' } as const;

function Sale({ sale: { title, state, opensAt, closesAt } }: { sale: ListedSale }) {
  const at = state === 'scheduled' ? opensAt : closesAt;
  return (
    <p class='show-line' data-state={state}>
      <Icon name='bag' />
      <bdi class='clip'>{title}</bdi>
      {state === 'paused' && at === null && <span class='show-time'>{t('sale.paused')}</span>}
      {at !== null && at > now.value && (
        <span class='show-time'>
          {t(WORDS[state])}{' '}
          <strong>
            <Countdown now={now} to={at} />
          </strong>
        </span>
      )}
      {/* Until the list is loaded again. */}
      {at !== null && at <= now.value && (
        <span class='show-time'>{t(state === 'scheduled' ? 'sale.open' : 'sale.ended')}</span>
      )}
    </p>
  );
}

function ById() {
  return (
    <form
      class='by-id'
      onSubmit={(event) => {
        event.preventDefault();
        const id = String(new FormData(event.currentTarget).get('show') ?? '').trim();
        if (id !== '') location.assign(watchUrl(id));
      }}
    >
      <p class='muted small'>{t('shows.byId')}</p>
      <div>
        <input
          class='field square'
          name='show'
          required
          maxLength={64}
          autoComplete='off'
          aria-label={t('join.show')}
        />
        <Button type='submit'>{t('join.go')}</Button>
      </div>
    </form>
  );
}

function Loading() {
  return (
    <ul class='show-cards' aria-hidden='true'>
      {[1, 2, 3].map((n) => (
        <li key={n} class='card show-card'>
          <Skeleton class='poster' />
          <div class='show-text'>
            <Skeleton class='line' />
          </div>
        </li>
      ))}
    </ul>
  );
}
