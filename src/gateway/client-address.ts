/**
 * The client address of a request: the peer, or the address that a trusted proxy forwards in
 * X-Forwarded-For. `Forwarded` and the PROXY protocol are ignored, because a proxy that does not
 * write them passes on what its client made up.
 */
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { HttpRequest, HttpResponse } from './uws.ts';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** IPv6 providers assign a /64 network per customer, so one client can use all its addresses. */
const IPV6_NETWORK_PARTS = 4;
const UNKNOWN = 'unknown';

export class ClientAddresses {
  private readonly trusted: ReadonlyArray<[Address, number]>;

  /** Throws if an entry is neither an IP address nor a CIDR network. */
  constructor(trustedProxies: readonly string[]) {
    this.trusted = trustedProxies.map((text) =>
      text.includes('/') ? ipaddr.parseCIDR(text) : single(ipaddr.process(text)),
    );
  }

  /** Returns an IPv4 address, or the /64 network of an IPv6 address. */
  of(res: HttpResponse, req: HttpRequest): string {
    const bytes = new Uint8Array(res.getRemoteAddress());
    if (bytes.length === 4 && this.trusted.length === 0) return bytes.join('.');
    if (bytes.length !== 4 && bytes.length !== 16) return UNKNOWN;
    const peer = unmapped(ipaddr.fromByteArray([...bytes]));
    return addressKey(this.isTrusted(peer) ? this.forwarded(peer, forwardedFor(req)) : peer);
  }

  /** Returns the last address that is not a trusted proxy: each proxy appends its peer. */
  private forwarded(peer: Address, path: string[]): Address {
    let nearest = peer;
    while (this.isTrusted(nearest)) {
      const text = withoutPort(path.pop() ?? '');
      if (isIP(text) === 0 || !ipaddr.isValid(text)) break;
      nearest = ipaddr.process(text);
    }
    return nearest;
  }

  private isTrusted(address: Address): boolean {
    return this.trusted.some(([network, bits]) => network.kind() === address.kind() && address.match(network, bits));
  }
}

const single = (address: Address): [Address, number] => [address, address.kind() === 'ipv4' ? 32 : 128];

const unmapped = (address: Address): Address =>
  'parts' in address && address.isIPv4MappedAddress() ? address.toIPv4Address() : address;

function addressKey(address: Address): string {
  if ('octets' in address) return address.toString();
  const network = address.parts.slice(0, IPV6_NETWORK_PARTS).map((part) => part.toString(16));
  return `${network.join(':')}::/64`;
}

/** Some proxies add the port: `203.0.113.9:4711`, `[2001:db8::1]:4711`. */
const withoutPort = (text: string): string =>
  text.replace(/^\[([^\]]*)\](:\d+)?$/, '$1').replace(/^([\d.]+):\d+$/, '$1');

/** Returns the entries of all X-Forwarded-For headers: some proxies add a second header. */
function forwardedFor(req: HttpRequest): string[] {
  const path: string[] = [];
  req.forEach((name, value) => {
    if (name === 'x-forwarded-for') path.push(...value.split(',').map((text) => text.trim()));
  });
  return path;
}
