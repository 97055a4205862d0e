/**
 * The bare server: uWebSockets.js without an application. It creates the messages and publishes
 * them to one topic: a frame leaves when it has the requested size, so that frames can equal those
 * of another server, or when its first message has waited for the engine's shortest tick.
 */
import { App, us_socket_local_port } from 'uWebSockets.js';
import { LIMITS } from '../../../src/limits.ts';
import { MESSAGE_BYTES, nowMicros, writeMessage } from '../message.ts';
import { type Offer, pace } from '../pace.ts';

export interface BareOffer extends Offer {
  readonly firstNumber: number;
  readonly messagesPerFrame: number;
  readonly bytesPerMessage: number;
}

const BACKPRESSURE_BYTES_MAX = 64 * 1024 * 1024;

const app = App().ws('/*', {
  maxBackpressure: BACKPRESSURE_BYTES_MAX,
  idleTimeout: 960,
  open: (socket) => void socket.subscribe('room'),
});

async function offer({ perSecond, forMs, firstNumber, messagesPerFrame, bytesPerMessage }: BareOffer): Promise<void> {
  const stride = Math.max(MESSAGE_BYTES, bytesPerMessage);
  const frame = Buffer.alloc(messagesPerFrame * stride, 0x20);
  let filled = 0;
  let firstMicros = 0;
  const send = (): void => {
    if (filled > 0) app.publish('room', frame.subarray(0, filled * stride), true);
    filled = 0;
  };
  const offered = await pace({
    perSecond,
    forMs,
    firstNumber,
    publish(number, dueMicros) {
      if (filled === 0) firstMicros = dueMicros;
      writeMessage(frame, filled * stride, number, dueMicros);
      filled++;
      if (filled === messagesPerFrame) send();
    },
    flush() {
      if (nowMicros() - firstMicros >= LIMITS.tickMinMs * 1000) send();
      return false;
    },
  });
  send();
  process.send?.(offered);
}

process.on('message', (message) => void offer(message as BareOffer));
process.once('disconnect', () => process.exit(0));
app.listen('127.0.0.1', 0, (listening) => {
  if (listening === false) process.exit(1);
  process.send?.({ port: us_socket_local_port(listening) });
});
