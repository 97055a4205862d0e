import { Card } from '../shared/components/card.tsx';
import { Badge } from '../shared/components/chip.tsx';
import { EmptyState } from '../shared/components/empty-state.tsx';
import { t } from '../shared/i18n.ts';
import { OfferBody, useOffer } from './offer-parts.tsx';
import type { Offer } from './offers.ts';
import { SaleLine } from './sale-line.tsx';
import { useViewer } from './viewer-model.ts';

/** The product of this moment with the one primary action. */
export function Featured() {
  const { featured, store } = useViewer();
  const { value: offer } = featured;
  if (offer !== null) return <FeaturedCard key={offer.key} offer={offer} />;
  if (store.show.value?.state === 'ended')
    return (
      <EmptyState icon='check' title={t('shop.endedTitle')}>
        {t(store.reservations.value.length > 0 ? 'shop.ended' : 'shop.endedNone')}
      </EmptyState>
    );
  if (store.products.value.length === 0)
    return (
      <EmptyState icon='package' title={t('shop.emptyTitle')}>
        {t('shop.empty')}
      </EmptyState>
    );
  return (
    <EmptyState icon='clock' title={t('shop.noSaleTitle')}>
      {t('shop.noSale')}
    </EmptyState>
  );
}

function FeaturedCard({ offer }: { offer: Offer }) {
  const { saleById, show, holds, isHoldFeatured } = useViewer();
  const view = useOffer(offer);
  if (view === null) return null;
  const sale = offer.sale === null ? undefined : saleById.value.get(offer.sale);
  // The hold that expires first is more urgent than another purchase.
  const isPrimary = holds.value.length === 0 || isHoldFeatured.value;
  const isPinned = show.value?.pinned === offer.product;
  return (
    <Card class='featured' data={{ 'data-product': offer.product }}>
      <div class='featured-head'>
        {isPinned && <Badge look='accent'>{t('shop.pinned')}</Badge>}
        {sale !== undefined && (
          <>
            <bdi class='sale-title two-lines'>{sale.title}</bdi>
            <SaleLine sale={sale} />
          </>
        )}
      </div>
      <OfferBody offer={offer} view={view} heading='h2' text='featured-text' primary={isPrimary} />
    </Card>
  );
}
