/**
 * Which address a request counts for: the peer's, or the one that a trusted proxy forwards. The
 * PROXY protocol, which the socket server reads by itself, and the `Forwarded` header are not
 * asked: a proxy that does not write them would pass on whatever its client made up.
 */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { HttpRequest, HttpResponse } from './uws.ts';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** A customer of an IPv6 provider has a whole /64 to pick addresses from. */
const IPV6_NETWORK_PARTS = 4;
const UNKNOWN = 'unknown';

export class ClientAddresses {
  private readonly trusted: ReadonlyArray<[Address, number]>;

  /**
   * IP addresses and CIDR networks of the proxies in front of this node. Throws when one is
   * neither.
   */
  constructor(trustedProxies: readonly string[]) {
    this.trusted = trustedProxies.map((text) =>
      text.includes('/') ? ipaddr.parseCIDR(text) : single(ipaddr.process(text)),
    );
  }

  /** An IPv4 address, or the /64 network of an IPv6 address. */
  of(res: HttpResponse, req: HttpRequest): string {
    const bytes = new Uint8Array(res.getRemoteAddress());
    if (bytes.length === 4 && this.trusted.length === 0) return bytes.join('.');
    if (bytes.length !== 4 && bytes.length !== 16) return UNKNOWN;
    const peer = unmapped(ipaddr.fromByteArray([...bytes]));
    return countedAs(this.trusts(peer) ? this.forwarded(peer, forwardedFor(req)) : peer);
  }

  /**
   * From the right, because a proxy appends what it saw: the first address that is no proxy of
   * ours.
   */
  private forwarded(peer: Address, path: string[]): Address {
    let nearest = peer;
    while (this.trusts(nearest)) {
      const text = withoutPort(path.pop() ?? '');
      if (isIP(text) === 0 || !ipaddr.isValid(text)) break;
      nearest = ipaddr.process(text);
    }
    return nearest;
  }

  private trusts(address: Address): boolean {
    return this.trusted.some(([network, bits]) => network.kind() === address.kind() && address.match(network, bits));
  }
}

const single = (address: Address): [Address, number] => [address, address.kind() === 'ipv4' ? 32 : 128];

const unmapped = (address: Address): Address =>
  'parts' in address && address.isIPv4MappedAddress() ? address.toIPv4Address() : address;

function countedAs(address: Address): string {
  if ('octets' in address) return address.toString();
  const network = address.parts.slice(0, IPV6_NETWORK_PARTS).map((part) => part.toString(16));
  return `${network.join(':')}::/64`;
}

/** Some proxies name the port too: `203.0.113.9:4711`, `[2001:db8::1]:4711`. */
const withoutPort = (text: string): string =>
  text.replace(/^\[([^\]]*)\](:\d+)?$/, '$1').replace(/^([\d.]+):\d+$/, '$1');

/**
 * Of all such headers in order: some proxies add a line of their own below the one their client
 * sent.
 */
function forwardedFor(req: HttpRequest): string[] {
  const path: string[] = [];
  req.forEach((name, value) => {
    if (name === 'x-forwarded-for') path.push(...value.split(',').map((text) => text.trim()));
  });
  return path;
}
