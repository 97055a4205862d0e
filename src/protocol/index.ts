/** Protocol v1, shared by clients and servers. Runs in browsers. */
export * from './checkout.ts';
export * from './codec.ts';
export * from './codes.ts';
export * from './limits.ts';
export * from './messages.ts';
export * from './text.ts';
export * from './validate.ts';
