/**
 * A viewer's idea of the server's time: rules T-1 to T-3 of the protocol. The local clock is the
 * fleet's.
 */

export const EXCHANGES = 4;

export class ViewerClock {
  /** Server time minus fleet time, and half the round trip of the sample it comes from. */
  offsetMs = Number.NaN;
  errorMs = Number.POSITIVE_INFINITY;
  samples = 0;

  /** Fleet times of sending and receiving, server times between them. */
  note(sentMs: number, received: number, answered: number, gotMs: number): void {
    this.samples++;
    const errorMs = Math.max(0, (gotMs - sentMs - (answered - received)) / 2);
    if (errorMs >= this.errorMs) return;
    this.errorMs = errorMs;
    this.offsetMs = (received - sentMs + (answered - gotMs)) / 2;
  }

  get set(): boolean {
    return this.samples > 0;
  }

  /** Fleet time at which this viewer's clock shows that server time. */
  localMs(serverMs: number): number {
    return serverMs - this.offsetMs;
  }

  serverMs(localMs: number): number {
    return localMs + this.offsetMs;
  }
}
