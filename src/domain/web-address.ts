/** Addresses on the web that a host gives: of images, videos, and the checkout. */
import { LIMITS } from '../limits.ts';
import { CHECKOUT_PLACEHOLDERS } from '../protocol/checkout.ts';

/** Browsers trust plain http to these hosts, so that a shop can be tried on one machine. */
export const LOOPBACK_HOSTS = ['localhost', '127.0.0.1'] as const;

export const WEB_ADDRESS_RULE = `https, or http on ${LOOPBACK_HOSTS.join(' or ')}, without user and password`;
const WEB_ADDRESS_MISTAKE = `Must be an address (${WEB_ADDRESS_RULE}) of at most ${LIMITS.urlCharsMax} characters.`;
const PLACEHOLDERS = CHECKOUT_PLACEHOLDERS.map((name) => `{${name}}`);

/** Returns what is wrong with an address that pages load or link to, or null. */
export function webAddressMistake(text: string): string | null {
  if (text.length > LIMITS.urlCharsMax || !/^https?:\/\/\S+$/i.test(text) || !URL.canParse(text))
    return WEB_ADDRESS_MISTAKE;
  const { protocol, hostname, username, password } = new URL(text);
  const isSafe = protocol === 'https:' || LOOPBACK_HOSTS.some((host) => host === hostname);
  return isSafe && username === '' && password === '' ? null : WEB_ADDRESS_MISTAKE;
}

/** Returns what is wrong with the template of a checkout link, or null. */
export function checkoutMistake(template: string): string | null {
  const [first, ...others] = template.match(/\{[^{}]*\}/g)?.filter((name) => !PLACEHOLDERS.includes(name)) ?? [];
  if (first !== undefined) {
    const unknown = [first, ...others].join(', ');
    return `Unknown placeholder ${unknown.slice(0, LIMITS.idCharsMax)}. Known are ${PLACEHOLDERS.join(', ')}.`;
  }
  if (!template.includes('{reservation}')) return 'Must contain {reservation}: the checkout confirms that reservation.';
  const filled = PLACEHOLDERS.reduce((text, name) => text.replaceAll(name, 'x'), template);
  if (/[{}]/.test(filled)) return `A brace is left over. Placeholders are ${PLACEHOLDERS.join(', ')}.`;
  if (/^[^/]*\/\/[^/?#]*\{/.test(template)) return 'The host must not contain a placeholder.';
  return template.length > LIMITS.urlCharsMax ? WEB_ADDRESS_MISTAKE : webAddressMistake(filled);
}
