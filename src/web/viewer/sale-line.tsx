import type { SaleView } from '../../protocol/messages.ts';
import { Countdown } from '../shared/components/countdown.tsx';
import { t } from '../shared/i18n.ts';
import { useViewer } from './viewer-model.ts';

/** The state of a sale in words, with its countdown. A pause does not move the end of a sale. */
export function SaleLine({ sale }: { sale: SaleView }) {
  const { store } = useViewer();
  const { state } = sale;
  const at = state === 'scheduled' ? sale.opensAt : state === 'open' || state === 'paused' ? sale.closesAt : null;
  return (
    <p class='sale-line' data-state={state}>
      <span class='sale-state'>{stateText(sale)}</span>
      {at !== null && (
        <strong class='countdown' role='timer' aria-live='off'>
          <Countdown now={store.now} to={at} />
        </strong>
      )}
    </p>
  );
}

function stateText({ state, opensAt, closesAt }: SaleView): string {
  if (state === 'scheduled') return opensAt === null ? t('buy.soon') : t('sale.opens');
  if (state === 'open') return closesAt === null ? t('sale.open') : t('sale.closes');
  if (state === 'paused' && closesAt !== null) return t('sale.pausedEnds');
  return t(`sale.${state}`);
}
