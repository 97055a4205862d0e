import { useComputed, useSignal } from '@preact/signals';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Card } from '../shared/components/card.tsx';
import { EmptyState } from '../shared/components/empty-state.tsx';
import { Icon } from '../shared/components/icon.tsx';
import { Sheet } from '../shared/components/sheet.tsx';
import { countdownText, t } from '../shared/i18n.ts';
import { OfferBody, useOffer } from './offer-parts.tsx';
import { matches, type Offer, type Section } from './offers.ts';
import { SaleChips } from './sale-chips.tsx';
import { SaleLine } from './sale-line.tsx';
import { useViewer } from './viewer-model.ts';

/** With more products than this, a search field helps. */
const SEARCH_FROM = 8;
/** Cards in the document at first, and added each time the end of the list comes near. */
const CARDS_STEP = 40;

export function ShopSheet({ onClose }: { onClose: () => void }) {
  return (
    <Sheet title={t('shop')} onClose={onClose} tall class='shop'>
      <SaleChips />
      <Shelf inSheet />
    </Sheet>
  );
}

/** All products: those of open sales first, then the others by brand. */
export function Shelf({ inSheet = false }: { inSheet?: boolean }) {
  const viewer = useViewer();
  const query = useSignal('');
  const found = useComputed(() => search(viewer, query.value.trim(), inSheet));
  const [limit, end] = useGrowingLimit();
  const total = viewer.store.products.value.length;
  if (total === 0 && viewer.show.value === null) return inSheet ? <p class='muted'>{t('connecting')}</p> : null;
  if (total === 0)
    return inSheet ? (
      <EmptyState icon='package' title={t('shop.emptyTitle')}>
        {t('shop.empty')}
      </EmptyState>
    ) : null;
  const sections = firstOf(found.value, limit);
  const shown = sections.reduce((sum, { offers }) => sum + offers.length, 0);
  const all = found.value.reduce((sum, { offers }) => sum + offers.length, 0);
  const hasSales = found.value.some(({ sale }) => sale !== null);
  return (
    <section class='shelf' aria-label={t('shop')}>
      {total > SEARCH_FROM && (
        <label class='search'>
          <Icon name='search' />
          <span class='sr'>{t('shop.search')}</span>
          <input
            class='field'
            type='search'
            placeholder={t('shop.search')}
            value={query.value}
            onInput={(event) => {
              query.value = event.currentTarget.value;
            }}
          />
        </label>
      )}
      {all === 0 && query.value.trim() !== '' && <p class='muted'>{t('shop.none', { query: query.value.trim() })}</p>}
      {sections.map((section, index) => (
        <ShelfSection
          key={section.id}
          section={section}
          isOpen={!hasSales || query.value.trim() !== ''}
          primary={inSheet && index === 0}
        />
      ))}
      {shown < all && <div ref={end} class='shelf-end' />}
    </section>
  );
}

function search(viewer: ReturnType<typeof useViewer>, query: string, inSheet: boolean): Section[] {
  const { sections, featured, productById, brandName } = viewer;
  // Beside the page's large card the list does not repeat its product.
  const omitted = inSheet || query !== '' ? null : featured.value?.key;
  return sections.value
    .map((section) => ({
      ...section,
      offers: section.offers.filter(({ key, product: id }) => {
        const product = productById.value.get(id);
        return key !== omitted && product !== undefined && matches(product, brandName(product.brand), query);
      }),
    }))
    .filter(({ offers }) => offers.length > 0);
}

function firstOf(sections: readonly Section[], limit: number): Section[] {
  let left = limit;
  return sections
    .map((section) => {
      const offers = section.offers.slice(0, Math.max(0, left));
      left -= offers.length;
      return { ...section, offers };
    })
    .filter(({ offers }) => offers.length > 0);
}

/** A limit that grows while the element at the end of the list is near. */
function useGrowingLimit() {
  const [limit, setLimit] = useState(CARDS_STEP);
  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const { current } = end;
    if (current === null) return;
    const observer = new IntersectionObserver(
      ([entry]) => entry?.isIntersecting && setLimit((known) => known + CARDS_STEP),
      { rootMargin: '600px' },
    );
    observer.observe(current);
    return () => observer.disconnect();
  });
  return [limit, end] as const;
}

function ShelfSection(props: { section: Section; isOpen: boolean; primary: boolean }) {
  const { saleById, brandName } = useViewer();
  const { section, isOpen, primary } = props;
  const sale = section.sale === null ? undefined : saleById.value.get(section.sale);
  const cards = useMemo(
    () => (
      <ul class='cards'>
        {section.offers.map((offer, index) => (
          <li key={offer.key}>
            <ProductCard offer={offer} primary={primary && index === 0} />
          </li>
        ))}
      </ul>
    ),
    [JSON.stringify(section.offers), primary],
  );
  if (sale !== undefined)
    return (
      <section class='shelf-section'>
        <header class='shelf-head'>
          <h2 class='clip' dir='auto'>
            {sale.title}
          </h2>
          <SaleLine sale={sale} />
          <p class='terms'>
            {t('sale.terms', { n: sale.perBuyer })} · {t('sale.hold', { time: countdownText(sale.holdMs) })}
          </p>
        </header>
        {cards}
      </section>
    );
  return (
    <details class='shelf-section' open={isOpen}>
      <summary>
        <h2 class='clip' dir='auto'>
          {brandName(section.brand ?? '')}
        </h2>
        <Icon name='down' />
      </summary>
      {cards}
    </details>
  );
}

function ProductCard({ offer, primary }: { offer: Offer; primary: boolean }) {
  const { holds } = useViewer();
  const view = useOffer(offer);
  if (view === null) return null;
  const isGone = view.chosen?.item != null && view.chosen.item.left <= 0;
  const isHeld = holds.value.some(
    ({ sale, lines }) => sale === offer.sale && lines.some(({ sku }) => sku === view.chosen?.sku),
  );
  const isPrimary = holds.value.length === 0 ? primary : isHeld && primary;
  return (
    <Card class={`product ${isGone ? 'gone' : ''}`.trim()} data={{ 'data-product': offer.product }}>
      <OfferBody offer={offer} view={view} heading='h3' text='product-text' primary={isPrimary} />
    </Card>
  );
}
