import { effect } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { waitKey } from '../../client/index.ts';
import { say, speak } from '../shared/components/toast.tsx';
import { t } from '../shared/i18n.ts';
import { useViewer } from './viewer-model.ts';

const SPOKEN_SECONDS: readonly number[] = [60, 30, 10, 5];
/** A position may change each second: these are said when the viewer moves up to them. */
const SPOKEN_PLACES: readonly number[] = [10, 5, 3, 2, 1];

/** Says to screen readers what the page shows by countdowns: few moments, at once. */
export function useSpokenSales(): void {
  const { store } = useViewer();
  useEffect(() => {
    const spoken = new Set<string>();
    const stopEvents = store.client.on('event', ({ type, data }) => {
      const title = (data.sale as { title?: string } | undefined)?.title ?? '';
      if (type === 'sale.opened') speak(t('sale.said.open', { title }));
      if (type === 'sale.paused') speak(t('sale.said.paused', { title }));
      if (type === 'sale.resumed') speak(t('sale.said.resumed', { title }));
      if (type === 'sale.sold_out') speak(t('sale.said.soldOut'));
      if (type === 'sale.ended') speak(t('sale.said.ended'));
    });
    const stopClock = effect(() => {
      for (const { id, state, opensAt } of store.sales.value) {
        if (state !== 'scheduled' || opensAt === null) continue;
        const seconds = Math.ceil((opensAt - store.now.value) / 1000);
        if (!SPOKEN_SECONDS.includes(seconds) || spoken.has(`${id}/${seconds}`)) continue;
        spoken.add(`${id}/${seconds}`);
        speak(t('sale.said.opens', { n: seconds }));
      }
    });
    const places = new Map<string, number>();
    const stopWaits = effect(() => {
      for (const { sale, sku, place } of store.waits.value) {
        const key = waitKey(sale, sku);
        if (place < (places.get(key) ?? 0) && SPOKEN_PLACES.includes(place)) say(t('wait.place', { n: place }));
        places.set(key, place);
      }
    });
    return () => {
      stopEvents();
      stopClock();
      stopWaits();
    };
  }, [store]);
}
