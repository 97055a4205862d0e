/** Publishes frames to the topics of uWebSockets.js and counts them. */
import { laneOf, type TopicLane } from '../fanout/broadcast-groups.ts';
import type { Publisher } from '../fanout/broadcaster.ts';
import type { Variant } from '../protocol/messages.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { TemplatedApp } from './uws.ts';

export class TopicPublisher implements Publisher {
  /** Bytes of all frames, each counted once per variant. Only grows. */
  bytesPublished = 0;
  private readonly app: TemplatedApp;
  private readonly metrics: Metrics;

  constructor(app: TemplatedApp, metrics: Metrics) {
    this.app = app;
    this.metrics = metrics;
  }

  publish(topic: string, bytes: Uint8Array, binary: boolean): void {
    this.app.publish(topic, bytes, binary, false);
    const lane = laneOf(topic);
    const receivers = this.app.numSubscribers(topic);
    this.metrics.deliveries.inc({ lane }, receivers);
    this.metrics.bytesOut.inc({ lane }, receivers * bytes.length);
  }

  onFrame(lane: TopicLane, variant: Variant, bytes: number): void {
    this.bytesPublished += bytes;
    this.metrics.framesOut.inc({ lane, variant });
  }
}
