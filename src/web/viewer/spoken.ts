import { effect } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { speak } from '../shared/components/toast.tsx';
import { t } from '../shared/i18n.ts';
import { useViewer } from './viewer-model.ts';

const SPOKEN_SECONDS: readonly number[] = [60, 30, 10, 5];

/** Says to screen readers what the page shows by countdowns: few moments, at once. */
export function useSpokenSales(): void {
  const { store } = useViewer();
  useEffect(() => {
    const spoken = new Set<string>();
    const stopEvents = store.client.on('event', ({ type, data }) => {
      const title = (data.sale as { title?: string } | undefined)?.title ?? '';
      if (type === 'sale.opened') speak(t('sale.said.open', { title }));
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
    return () => {
      stopEvents();
      stopClock();
    };
  }, [store]);
}
