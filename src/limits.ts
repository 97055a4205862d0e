/**
 * Every bound of the engine, by name and with its unit last. Nothing in Stampede grows without one
 * of these. Relations between them are asserted when the module loads, so that an inconsistent edit
 * fails at start and in every test.
 */
import { LIMITS as CLIENT_LIMITS } from './protocol/limits.ts';

export const LIMITS = Object.freeze({
  ...CLIENT_LIMITS,

  // Frames and connections
  /** uWebSockets.js corks up to 16 KiB per socket with headers; larger messages are slower. */
  frameOutBytesTarget: 16_000,
  handshakeTokenBytesMax: 4096,
  /** Request line and headers of an upgrade together; a larger request is refused with 431. */
  requestHeadBytesMax: 12 * 1024,
  connectionsPerNodeMax: 20_000,
  connectionsPerAddressMax: 20_000,
  /** To one show, over all nodes. Above it, the oldest connection of the user is closed. */
  connectionsPerUserMax: 20,
  /** A node with this part of them (a quarter) reports how many the user has there. */
  sharedConnectionsPart: 4,
  /** Upgrades a node accepts per second; the burst is one second's worth. */
  joinsPerSecondPerNode: 10_000,
  /** The burst of one address: a venue comes back together. */
  addressJoinsBurstSeconds: 10,
  /** For a complete request head. uWebSockets.js checks it every 4 s: 8 to 12 s. */
  requestHeadTimeoutSeconds: 10,
  /** Range of Retry-After for refused upgrades. Random, so that retries do not synchronize. */
  refusedRetryMinMs: 1_000,
  refusedRetryMaxMs: 5_000,
  idleTimeoutSeconds: 60,
  heartbeatHintMs: 25_000,
  badFramesPerConnectionMax: 10,
  /** A client that exceeds its rate by as much again is closed after this time. */
  excessBurstSeconds: 10,
  /** Of a user who has too many connections, or was closed for what they sent. */
  delayedJoinsPerSecond: 1,
  /** A connection that was closed for what it sent counts as this many joins. */
  joinsPerExpulsion: 5,
  delayedTokensKeptMax: 1_000,
  /** Messages that wait while their room opens, of all connections of a node. */
  earlyBytesPerNodeMax: 16 * 1024 * 1024,

  // Slow viewers: above the soft limit the chat lane is dropped, above the hard limit the
  // connection is closed (resume).
  backpressureSoftBytes: 64 * 1024,
  backpressureHardBytes: 1024 * 1024,
  /**
   * The kernel buffers up to 4 MB per connection (tcp_wmem) before backpressure shows here. A
   * viewer is therefore pinged after this much chat, and is slow if the pong takes too long. A ping
   * costs two system calls on each side, hence the pause. See "Slow viewers" in src/README.md.
   */
  readPingEveryKib: 512,
  readPingPauseMs: 2_000,
  readPingOverdueKib: 256,
  readPingTimeoutMs: 1_500,

  // What a connection may ask for: missed events and snapshots
  bulkBytesPerSecond: 512 * 1024,
  bulkBurstBytes: 2 * 1024 * 1024,
  /** A resume counts as at least this much, which bounds how many a connection may send. */
  resumeCostBytes: 256 * 1024,
  /** A viewer who missed more gets a snapshot. In MessagePack; JSON may be larger. */
  resumeEventBytesMax: 256 * 1024,
  resumeFrameBytesTarget: 32 * 1024,
  /** Welcomes and missed events of the guests of one address, beside what each connection adds. */
  guestBytesPerSecond: 64 * 1024,
  guestBytesPerSecondPerConnection: 4 * 1024,
  guestBytesBurstSeconds: 32,
  /** How fast an address loses what connections added that have closed. */
  guestPeakHalfLifeSeconds: 60,
  guestAddressesKeptMax: 50_000,
  /** Products and sales of a snapshot or a page: this much, or one that is larger. */
  catalogBytesMax: 64 * 1024,
  /** Encoded pages that a room keeps of one version; the largest show has about 500. */
  catalogPagesCachedMax: 640,
  /** If all sales together have more state, a snapshot is sent in its place. */
  stateBytesMax: 64 * 1024,

  // Ticks
  tickMinMs: 20,
  tickMaxMs: 250,
  /**
   * Flush when this many bytes of chat are queued: larger batches save few system calls. Four
   * frames need two system calls per viewer. More would leave the processor's caches before the
   * first viewers read them (bench/README.md).
   */
  flushFullBytes: 58_000,
  flushFramesMax: 4,
  /** Append when this many bytes of chat are queued and Redis has replied to the append before. */
  appendFullBytes: 28_000,
  /** With fewer bytes queued, a room with slow writes may wait up to `tickSparseMaxMs`. */
  tickSparseBytes: 1024,
  tickSparseMaxMs: 500,
  stateTickMs: 250,
  stateTickMaxMs: 1000,
  countdownTickMs: 1000,
  countsTickMs: 1000,
  /** Viewers written to in one turn of the event loop, 5 to 25 us each: bounds reply times. */
  publishViewersPerTurn: 512,
  nodeCountsTtlMs: 15_000,
  /** The newest format of a show in Redis that this release knows ("Formats" in src/README.md). */
  showFormat: 1,
  /** Kinds of local refusals (sale, code, revision) that wait for the next report. */
  refusalReportsMax: 256,
  /** Refused requests that one script call keeps in full for `verify`, of each sale and code. */
  refusalSamplesPerCallMax: 3,
  /** What complete refusals may add to the ledger of a show; more are only counted. */
  refusalSampleBytesPerSecond: 2 * 1024,
  refusalSampleBurstBytes: 64 * 1024,
  roomLingerMs: 30_000,
  /** A node does not ask Redis again for a show that did not exist. */
  unknownShowMs: 2_000,
  unknownShowsKeptMax: 500,
  /** Shows that guests of an address look for in vain: each costs a room and a call of Redis. */
  guestLookupsPerSecond: 10,
  guestLookupsBurst: 200,
  /** Recently disconnected members stay cached, so that a reconnect storm needs no Redis read. */
  memberLingerMs: 30_000,
  membersLingeringMax: 20_000,
  /** One call looks up this many members, and fewer if this many of them have a record. */
  holdingsUsersPerCallMax: 2_000,
  holdersPerCallMax: 200,
  /** After a lookup of this many members the next one waits, so that a storm needs few calls. */
  lookupStormMembers: 100,
  lookupStormPauseMs: 100,
  /** Waitlist entries whose position is looked up per report of counts. A user may have many. */
  positionsPerReportMax: 500,
  /** Members who wait per call: about 30 us each, and a rush should not wait for them. */
  positionsUsersPerCallMax: 50,
  roomsPerNodeMax: 20_000,
  countdownHorizonMs: 24 * 60 * 60 * 1000,

  // Chat and hearts
  chatBatchMessagesMax: 500,
  chatBatchBytesMax: 64 * 1024,
  /** Default rate per connection and per user; the burst is twice that. */
  chatRatePerSecond: 3,
  /**
   * Default rate of messages per connection; the burst is twice that. All connections of a user
   * together have the same rate for reserve, release, waitlist and resume.
   */
  requestRatePerSecond: 20,
  /** A user may send so many seconds' worth at the full rate, then this part of it. */
  lastingRequestsBurstSeconds: 50,
  lastingRequestsPart: 0.01,
  /** A user of whom a node accepts this many of these in a second is reported to other nodes. */
  sharedRequestsMin: 3,
  busyUsersPerReportMax: 100,
  busyUsersWaitingMax: 1_000,
  heartsRatePerConnectionPerSecond: 20,
  heartsBurstPerConnection: 100,
  chatQueuePerRoomMax: 20_000,
  /** New chat is refused if chat was queued longer; queued chat is dropped after twice as long. */
  chatWaitMaxMs: 2_000,
  /** Largest display cap of a show: messages shown per second, over all nodes. */
  chatShownPerSecondMax: 100_000,
  /** Messages dropped by the display cap are reported with the next chat, or after this time. */
  missedChatReportMs: 1_000,
  /** Users per room whose chat, or whose requests, a node remembers; least recent evicted. */
  pacedUsersKeptMax: 50_000,
  /** Ids of removed messages kept to filter the history. */
  chatRemovedKeptMax: 10_000,
  chatRemovedPerCallMax: 100,
  /** Messages with authors that a host gets in one list. */
  chatListedMax: 200,
  mutesPerShowMax: 1_000,
  muteMinMs: 1_000,
  muteMaxMs: 30 * 24 * 60 * 60 * 1000,
  /** Users new to a node: per report, and waiting for a report. */
  uniquesPerReportMax: 4_000,
  uniquesWaitingMax: 50_000,

  // Event log and resume
  eventLogEntriesMax: 10_000,
  eventRingEntries: 1_000,
  chatRingBatches: 200,
  chatRingBytesMax: 1024 * 1024,
  chatResumeMessagesMax: 500,
  /** Relay messages buffered while a room loads; one more restarts the load. */
  relayBacklogMax: 20_000,

  // Names and texts
  titleCharsMax: 200,
  nameCharsMax: 64,
  userIdCharsMax: 128,
  orderRefCharsMax: 128,
  noteCharsMax: 2_000,
  trackingCharsMax: 512,
  refundReasonCharsMax: 500,
  announcementCharsMax: 500,
  announcementMinMs: 1_000,
  announcementDefaultMs: 5 * 60 * 1000,
  announcementMaxMs: 24 * 60 * 60 * 1000,
  urlCharsMax: 2048,
  descriptionCharsMax: 1_000,
  imagesPerProductMax: 8,
  mistakesListedMax: 50,

  // Shows, products, sales
  brandsPerShowMax: 50,
  productsPerShowMax: 1_000,
  /** Changes of a show and its products that wait in one process. */
  changesQueuedMax: 200,
  skusPerProductMax: 100,
  salesPerShowMax: 200,
  skusPerSaleMax: 200,
  unitsPerSkuMax: 10_000_000,
  priceMinorUnitsMax: 100_000_000_00,
  saleDurationMinMs: 1_000,
  saleDurationMaxMs: 7 * 24 * 60 * 60 * 1000,
  saleLeadTimeMaxMs: 365 * 24 * 60 * 60 * 1000,
  slowModeMaxMs: 60 * 60 * 1000,
  /** Times in requests may be this far in the past, so that repeats reach their recorded result. */
  momentPastMaxMs: 2 * 24 * 60 * 60 * 1000,

  // Reservations
  holdMinMs: 15_000,
  holdDefaultMs: 120_000,
  /** Of the setting HOLD_MAX: a hosted checkout lives for up to a day. */
  holdMaxMs: 24 * 60 * 60 * 1000,
  holdMaxDefaultMs: 15 * 60 * 1000,
  /** A sale that changes between sold out and stocked sends one event in this time. */
  soldOutEveryMs: 1_000,
  /** A confirm this long after the deadline still wins if the hold has not been expired. */
  confirmGraceMs: 500,
  reserveBatchMax: 32,
  reserveQueuePerShowMax: 20_000,
  reserveBatchesInFlightMax: 2,
  /** A refunded order stays in the buyer's list if that has fewer reservations of the sale. */
  refundsListedMax: 100,
  sweepSliceMax: 25,
  /** A due record that cannot be read is tried again after this time. */
  unreadableDueRetryMs: 60_000,
  /** Waitlist entries that one script call looks at, over all SKUs. */
  waitlistSliceMax: 50,
  waitlistPerSkuMax: 100_000,
  idempotencyTtlMs: 24 * 60 * 60 * 1000,
  /** Longest wait of a repeat after the node of the first command died; then the key decides. */
  commandMarkerMs: 5_000,

  // HTTP
  httpBodyBytesMax: 256 * 1024,
  /** Of an import of products. */
  httpImportBytesMax: 16 * 1024 * 1024,
  /** More than all products of a show with all their SKUs. */
  importRowsMax: 120_000,
  importErrorsListed: 100,
  /** Default rates per API key and process; commands on holds are not limited. */
  httpReadsPerMinute: 6_000,
  httpCommandsPerMinute: 6_000,
  httpRequestTimeoutMs: 30_000,
  httpRateKeysMax: 10_000,
  tokenTtlSecondsMin: 10,
  tokenTtlSecondsDefault: 12 * 60 * 60,
  tokenTtlSecondsMax: 30 * 24 * 60 * 60,
  demoTokenTtlSeconds: 6 * 60 * 60,
  pageItemsMax: 1_000,
  /** A page of reservations ends after this much of the ledger, also with fewer items. */
  listedSlicesMax: 10,
  listedExaminedMax: 2_000,
  listedItemsDefault: 100,
  /** An export reads as many at once. */
  exportPageItems: 500,
  /** An export ends if its reader takes nothing for so long. */
  exportIdleMs: 30_000,
  /** The list of public shows: the live ones and the next to start, each with its next sales. */
  publicShowsMax: 100,
  publicSalesPerShowMax: 20,
  /** It is made at most this often per process, and may be cached as long again by others. */
  publicShowsEveryMs: 1_000,
  publicShowsMaxAgeSeconds: 1,

  // The end of a show
  retentionDefaultMs: 30 * 24 * 60 * 60 * 1000,
  /** Of the setting. A show may have 0. */
  retentionMinMs: 1_000,
  /** Less causes a warning. */
  retentionUsualMinMs: 60 * 60 * 1000,
  retentionMaxMs: 10 * 365 * 24 * 60 * 60 * 1000,
  /** Keys of an archived show stay in Redis this long, or as long as its retention if shorter. */
  archivedKeptMs: 60 * 60 * 1000,
  /** An archiver that ended is replaced after this time. */
  archiveLeaseMs: 10_000,
  /** What an ended show still has open after this time cannot end: its records cannot be read. */
  archiveStuckMs: 49 * 60 * 60 * 1000,
  /** `POST …/archive` replies after this time, and the work goes on. */
  archiveReplyMs: 10_000,
  /** Read in one call, so that none holds Redis for longer than a millisecond or two. */
  archivePageEntries: 200,
  /** An event may have a sale of 200 SKUs. */
  archivePageEvents: 50,
  archivePageFields: 100,
  archiveProblemsListed: 100,
  /** `doctor` warns if the disk of ARCHIVE_DIR has less space. */
  archiveFreeBytesMin: 2 ** 30,
  /** A show that needs no step now is looked at again after this time at the latest. */
  retentionRecheckMs: 60 * 60 * 1000,
  /** A show that could not be archived, for example while a hold is open. */
  retentionRetryMs: 60_000,
  retentionShowsPerSweep: 100,

  // Moving a show
  /** One value of an exported show. The engine writes smaller ones. */
  importValueBytesMax: 8 * 1024 * 1024,
  /** Times that have passed may be this far ahead of the clock of the Redis that imports. */
  importClockAheadMs: 24 * 60 * 60 * 1000,

  // Erasing users
  /** Entries that one call may copy to complete a rewritten stream. */
  erasureTailMax: 100,
  /** A full Redis takes no larger copy of a stream: it is made when there is memory again. */
  erasureCopyIfFullBytesMax: 4 * 1024 * 1024,
  /** While it is marked, a show is not archived. Longer ago, the mark was left by mistake. */
  erasureMarkMs: 60 * 60 * 1000,
  /** A process that ended while it erased users is replaced after this time. */
  erasureLeaseMs: 10_000,
  /** `DELETE /v1/users/{user}` replies after this time, and the work goes on. */
  erasureReplyMs: 10_000,
  /** What an erasure did can be read this long. */
  erasureReportMs: 24 * 60 * 60 * 1000,
  erasureRemainingListed: 100,

  // Background jobs
  jobSweepEveryMs: 2_000,
  /** Every how many sweeps a process looks for shows that need none until something is due. */
  jobSweepsPerRestCheck: 30,
  /** A show rests if nothing can be due for this long; it is swept again half of it before. */
  restAheadMs: 60_000,
  jobRetentionEveryMs: 5_000,
  /** The sweep's schedule is rewritten this often, because a crash of Redis may have lost it. */
  jobScheduleGuardMs: 30_000,
  /** A worker renews its lock at half of this. A job whose result Redis refused ends with it. */
  jobLockMs: 4_000,
  jobStalledCheckEveryMs: 2_000,
  jobConcurrency: 4,
  jobShowsAtOnce: 8,
  jobSlicesPerShowMax: 1_000,
  jobAttemptsMax: 5,
  jobBackoffMs: 250,
  jobsKeptCompleted: 20,
  jobsKeptFailed: 500,
  jobEventsKept: 100,
  jobStopMs: 3_000,

  // Redis and stopping
  redisCommandTimeoutMs: 4_000,
  redisRetryMaxMs: 6_000,
  /** A gateway stays ready this long while Redis does not reply: its viewers stay connected. */
  readinessGraceMs: 20_000,
  drainMs: 8_000,
  /** Connections to the control API are closed by then, read or not. */
  httpDrainMs: 5_000,
  drainReconnectSpreadMs: 3_000,
  /** Lifetime of a pass, which replaces the token of a viewer who was sent to another node. */
  passTtlMs: 60_000,
});

const L = LIMITS;
const relations: ReadonlyArray<readonly [string, boolean]> = [
  ['tickMinMs <= tickMaxMs <= tickSparseMaxMs', L.tickMinMs <= L.tickMaxMs && L.tickMaxMs <= L.tickSparseMaxMs],
  [
    'holdMinMs <= holdDefaultMs <= holdMaxDefaultMs',
    L.holdMinMs <= L.holdDefaultMs && L.holdDefaultMs <= L.holdMaxDefaultMs,
  ],
  ['holdMaxDefaultMs <= holdMaxMs', L.holdMaxDefaultMs <= L.holdMaxMs],
  ['every hold has ended long before archiveStuckMs', 2 * L.holdMaxMs < L.archiveStuckMs],
  ['backpressureSoftBytes < backpressureHardBytes', L.backpressureSoftBytes < L.backpressureHardBytes],
  ['a ping is overdue before the next one is sent', L.readPingOverdueKib < L.readPingEveryKib],
  ['a full flush fits into its frames', L.flushFullBytes < L.flushFramesMax * L.frameOutBytesTarget],
  ['one tick is not an overload', L.tickSparseMaxMs < L.chatWaitMaxMs],
  ['one flush does not demote a viewer', L.flushFramesMax * L.frameOutBytesTarget < L.backpressureSoftBytes],
  ['a full append fits into a batch', L.appendFullBytes < L.chatBatchBytesMax],
  ['frameOutBytesTarget < backpressureSoftBytes', L.frameOutBytesTarget < L.backpressureSoftBytes],
  ['confirmGraceMs < 1000: units are free within a second of the deadline', L.confirmGraceMs < 1000],
  ['new users of one report fit into one Lua command (unpack takes about 8,000)', L.uniquesPerReportMax <= 7_000],
  ['members of one lookup fit into one Lua command', L.holdingsUsersPerCallMax <= 7_000],
  ['eventRingEntries <= eventLogEntriesMax', L.eventRingEntries <= L.eventLogEntriesMax],
  ['a repeated command stays valid as long as its key', L.momentPastMaxMs >= L.idempotencyTtlMs],
  ['the marker of a running command outlives a command timeout', L.commandMarkerMs > L.redisCommandTimeoutMs],
  ['idempotency keys live at least 24 h', L.idempotencyTtlMs >= 24 * 60 * 60 * 1000],
  ['uWebSockets.js accepts idleTimeoutSeconds', L.idleTimeoutSeconds >= 8 && L.idleTimeoutSeconds <= 960],
  ['a token fits into a request head beside cookies', L.handshakeTokenBytesMax * 2 <= L.requestHeadBytesMax],
  ['refusedRetryMinMs < refusedRetryMaxMs', L.refusedRetryMinMs < L.refusedRetryMaxMs],
  ['a resume does not close a viewer', 2 * L.resumeEventBytesMax < L.backpressureHardBytes],
  ['a welcome does not close a viewer', 8 * L.catalogBytesMax < L.backpressureHardBytes],
  [
    'a guest connection adds the bytes of its welcome',
    L.guestBytesPerSecondPerConnection * L.guestBytesBurstSeconds >= 2 * L.catalogBytesMax,
  ],
  ['a resume is possible', L.resumeCostBytes <= L.bulkBurstBytes],
  ['two heartbeats fit into the idle timeout', L.heartbeatHintMs * 2 <= L.idleTimeoutSeconds * 1000],
  ['stopping jobs fits into a drain', L.jobStopMs < L.drainMs],
  ['a gateway stays ready while requests are retried', L.readinessGraceMs > 2 * L.redisRetryMaxMs],
  ['a Redis retry outlives a command timeout', L.redisRetryMaxMs > L.redisCommandTimeoutMs],
];
for (const [rule, holds] of relations) {
  if (!holds) throw new Error(`limits: the relation "${rule}" does not hold`);
}
