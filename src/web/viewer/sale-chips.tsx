import { Chip } from '../shared/components/chip.tsx';
import { Countdown } from '../shared/components/countdown.tsx';
import { t } from '../shared/i18n.ts';
import { useViewer } from './viewer-model.ts';

/** The open and planned sales with their countdowns. The chosen one filters the products. */
export function SaleChips() {
  const { active, filter, chooseSale } = useViewer();
  if (active.value.length < 2) return null;
  return (
    <div class='chips' role='group' aria-label={t('sale.list')}>
      <Chip pressed={filter.value === null} onPress={() => chooseSale(null)}>
        {t('sale.all')}
      </Chip>
      {active.value.map((id) => (
        <SaleChip key={id} id={id} />
      ))}
    </div>
  );
}

function SaleChip({ id }: { id: string }) {
  const { store, saleById, filter, chooseSale } = useViewer();
  const sale = saleById.value.get(id);
  if (sale === undefined) return null;
  const isPaused = sale.state === 'paused';
  const at = sale.state === 'scheduled' ? sale.opensAt : sale.closesAt;
  return (
    <Chip pressed={filter.value === id} onPress={() => chooseSale(filter.value === id ? null : id)}>
      <span class={`state ${sale.state}`} aria-hidden='true' />
      <bdi class='clip'>{sale.title}</bdi>
      {isPaused && <span class='chip-time'>{t('sale.paused')}</span>}
      {at !== null && !isPaused && (
        <span class='chip-time'>
          <span class='sr'>{t(sale.state === 'scheduled' ? 'sale.opens' : 'sale.closes')} </span>
          <Countdown now={store.now} to={at} />
        </span>
      )}
    </Chip>
  );
}
