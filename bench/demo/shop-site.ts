/** The shop of the demo: its pictures, the clip of the stage, and a checkout to try. */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';
import { formatMoney } from '../../src/client/index.ts';
import type { ReservationView } from '../../src/protocol/messages.ts';

const FOLDER = join(import.meta.dirname, 'media');
const TYPES: Readonly<Record<string, string>> = {
  '.svg': 'image/svg+xml',
  '.jpg': 'image/jpeg',
  '.mp4': 'video/mp4',
};

export interface ShopSite {
  /** Without a slash at its end. */
  readonly url: string;
  /** Where buyers pay for the holds of the demo. */
  checkout: Checkout | null;
  close(): void;
}

interface Checkout {
  getReservation(id: string): Promise<ReservationView>;
  /** Resolves with what went wrong, or null. */
  pay(reservation: ReservationView): Promise<string | null>;
}

export const pictureOf = (site: string, product: string): string => `${site}/media/${product}.svg`;
export const checkoutOf = (site: string): string => `${site}/pay?hold={reservation}`;

/** Only pages on this machine may load it: addresses of shows have https or a loopback host. */
export async function startShopSite(): Promise<ShopSite> {
  let checkout: Checkout | null = null;
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://shop');
    const [, media] = /^\/media\/([a-z-]+\.(?:svg|jpg|mp4))$/.exec(pathname) ?? [];
    if (media !== undefined) return sendMedia(media, request, response);
    if (pathname !== '/pay' || checkout === null) return void response.writeHead(404).end();
    const work = payPage(checkout, searchParams.get('hold') ?? '', request.method === 'POST');
    const send = (html: string): void => void response.writeHead(200, HTML_HEADERS).end(html);
    work.then(send, (error: unknown) => send(pageOf('This hold is over', escapeHtml(String(error)))));
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    set checkout(given: Checkout | null) {
      checkout = given;
    },
    get checkout() {
      return checkout;
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Players ask for parts of a clip. */
function sendMedia(name: string, { headers }: IncomingMessage, response: ServerResponse): void {
  let bytes: Buffer;
  try {
    bytes = readFileSync(join(FOLDER, name));
  } catch {
    return void response.writeHead(404).end();
  }
  const common = {
    'content-type': TYPES[extname(name)] ?? '',
    'cache-control': 'max-age=300',
    'accept-ranges': 'bytes',
  };
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? [];
  const first = Number(from);
  if (from === undefined || first >= bytes.length) return void response.writeHead(200, common).end(bytes);
  const last = to === '' || to === undefined ? bytes.length - 1 : Math.min(Number(to), bytes.length - 1);
  const range = `bytes ${first}-${last}/${bytes.length}`;
  response.writeHead(206, { ...common, 'content-range': range }).end(bytes.subarray(first, last + 1));
}

async function payPage(checkout: Checkout, id: string, isPressed: boolean): Promise<string> {
  const reservation = await checkout.getReservation(id);
  const { state, amount, currency, lines } = reservation;
  const price = formatMoney(amount, currency);
  const items = lines.map(({ sku, qty }) => `${qty} × ${escapeHtml(sku)}`).join('<br>');
  if (state === 'confirmed') return pageOf('Paid. Thank you!', `${items}<br>You can close this tab.`);
  if (state !== 'held') return pageOf('This hold is over', 'Its units are free again: go back to the show.');
  const wrong = isPressed ? await checkout.pay(reservation) : null;
  if (isPressed && wrong === null) return pageOf('Paid. Thank you!', `${items}<br>You can close this tab.`);
  const note = wrong === null ? 'A demo: no money moves.' : escapeHtml(wrong);
  return pageOf(price, `${items}<form method="post"><button>Pay ${price}</button></form><small>${note}</small>`);
}

const HTML_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy':
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
};

const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);

const pageOf = (title: string, body: string): string => `<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>Checkout</title><style>
:root{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}
body{display:grid;min-height:90vh;place-content:center;margin:24px;text-align:center}
h1{margin:0 0 8px;font-size:36px}button{min-width:240px;min-height:48px;margin:24px 0 8px;border:0;border-radius:8px;
background:oklch(.585 .195 33);color:#fff;font:inherit;font-weight:700;cursor:pointer}
</style><h1>${title}</h1><div>${body}</div></html>`;
