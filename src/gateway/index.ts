/** The gateway: viewers' WebSockets on one side, rooms on the other. */
export { createGateway, type Gateway, type GatewayDeps, type GatewayOptions, type GatewayStats } from './gateway.ts';
export type { TokenClaims, TokenVerifier } from './upgrade.ts';
