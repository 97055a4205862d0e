/** What product cards of all sizes share: picture, names, chosen variant, its price and button. */
import { Art } from '../shared/components/art.tsx';
import { Price } from '../shared/components/price.tsx';
import { t } from '../shared/i18n.ts';
import { useStable } from '../shared/stable.ts';
import { BuyButton } from './buy-button.tsx';
import { FEW_LEFT, type Offer, type Variant, variantsOf } from './offers.ts';
import { useViewer } from './viewer-model.ts';

export interface OfferView {
  readonly title: string;
  readonly brand: string;
  readonly imageUrl: string | undefined;
  readonly variants: readonly Variant[];
  readonly chosen: Variant | null;
  readonly currency: string;
  readonly isSelling: boolean;
}

/** A variant says so itself from this number on: the others are not looked at one by one. */
const FEW_OF_VARIANT = 5;

const NO_VARIANT = { sku: '', title: '', item: null };

/** Returns what a card shows, and renders it again only if that changes. */
export function useOffer(offer: Offer): OfferView | null {
  const { key, product: productId, sale: saleId } = offer;
  const { productById, saleById, chosenSku, brandName } = useViewer();
  const read = (): OfferView | null => {
    const product = productById.value.get(productId);
    if (product === undefined) return null;
    const sale = saleId === null ? null : (saleById.value.get(saleId) ?? null);
    const variants = variantsOf(product, sale);
    const picked = chosenSku(offer);
    return {
      title: product.title,
      brand: brandName(product.brand),
      imageUrl: product.imageUrl,
      variants,
      chosen: variants.find(({ sku }) => sku === picked) ?? null,
      currency: sale?.currency ?? '',
      isSelling: sale !== null && (sale.state === 'open' || sale.state === 'paused' || sale.state === 'scheduled'),
    };
  };
  return useStable(read, [productById, key]).value;
}

export interface OfferBodyProps {
  readonly offer: Offer;
  readonly view: OfferView;
  readonly heading: 'h2' | 'h3';
  /** The class of what is beside the picture. */
  readonly text: string;
  readonly primary: boolean;
}

/** The content of a card. */
export function OfferBody({ offer, view, heading, text, primary }: OfferBodyProps) {
  return (
    <>
      <Art id={offer.product} title={view.title} imageUrl={view.imageUrl} />
      <div class={text}>
        <Names view={view} heading={heading} />
        <PriceLine view={view} />
        <Variants offer={offer} view={view} />
      </div>
      <OfferAction offer={offer} view={view} primary={primary} />
    </>
  );
}

function Names({ view: { title, brand }, heading: Heading }: Pick<OfferBodyProps, 'view' | 'heading'>) {
  return (
    <>
      <p class='brand clip' dir='auto'>
        {brand}
      </p>
      <Heading class='title two-lines' dir='auto' title={title}>
        {title}
      </Heading>
    </>
  );
}

function PriceLine({ view: { chosen, currency, isSelling } }: Pick<OfferBodyProps, 'view'>) {
  const item = chosen?.item;
  if (item == null) return null;
  const isFew = isSelling && item.left > 0 && item.left <= FEW_LEFT;
  return (
    <p class='price-line'>
      <Price amount={item.price} currency={currency} />
      {isFew && <span class='left figures'>{t('left', { n: item.left })}</span>}
    </p>
  );
}

/** One choice per variant, also of those that are sold out: they have a waitlist. */
function Variants({ offer, view }: Pick<OfferBodyProps, 'offer' | 'view'>) {
  const { choose } = useViewer();
  const { variants, chosen, title, isSelling } = view;
  if (variants.length < 2) return null;
  return (
    <div class='variants' role='radiogroup' aria-label={`${t('shop.variant')}: ${title}`}>
      {variants.map(({ sku, title: name, item }) => {
        const left = item?.left ?? Infinity;
        const isFew = isSelling && left > 0 && left <= FEW_OF_VARIANT;
        return (
          <label key={sku} class={left <= 0 ? 'variant none' : 'variant'}>
            <input
              type='radio'
              name={offer.key}
              value={sku}
              checked={chosen?.sku === sku}
              onChange={() => choose(offer, sku)}
            />
            <bdi>{name}</bdi>
            {isFew && <span class='variant-left figures'>{t('left', { n: left })}</span>}
            {left <= 0 && <span class='sr'>{t('soldOut')}</span>}
          </label>
        );
      })}
    </div>
  );
}

function OfferAction({ offer, view, primary }: Pick<OfferBodyProps, 'offer' | 'view' | 'primary'>) {
  const { sku, title, item } = view.chosen ?? NO_VARIANT;
  if (offer.sale === null || item === null) return <p class='note'>{t('shop.notOnSale')}</p>;
  const label = view.variants.length > 1 ? `${view.title} (${title})` : view.title;
  return (
    <div class='actions'>
      <BuyButton sale={offer.sale} sku={sku} item={label} primary={primary} />
    </div>
  );
}
