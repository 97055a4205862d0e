/** The gateway connects the WebSockets of viewers to rooms. */
export { createGateway, type Gateway, type GatewayDeps, type GatewayOptions } from './gateway.ts';
