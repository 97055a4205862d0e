/**
 * Every bound of the engine, by name and with its unit last. Nothing in Stampede grows without one of these.
 * Relations between them are asserted when the module loads, so an inconsistent edit fails at start and in every test.
 */
export const LIMITS = Object.freeze({
  // Frames and connections
  frameInBytesMax: 16 * 1024,
  /** uWebSockets.js gathers what it writes to a socket in a buffer of 16 KiB, frame heads included; larger messages go around it, at a cost. */
  frameOutBytesTarget: 16_000,
  handshakeTokenBytesMax: 4096,
  /** Request line and headers of an upgrade together; a larger one is answered 431. */
  requestHeadBytesMax: 12 * 1024,
  connectionsPerNodeMax: 20_000,
  connectionsPerAddressMax: 20_000,
  /** Upgrades a node works on; a second's worth may come at once. */
  joinsPerSecondPerNode: 10_000,
  /** From the first byte to a whole request head. Built into uWebSockets.js, which looks every 4 s: 8 to 12 s. */
  requestHeadTimeoutSeconds: 10,
  /** Who is refused at the door is told to wait a time between these, so that nobody comes back in step. */
  refusedRetryMinMs: 1_000,
  refusedRetryMaxMs: 5_000,
  idleTimeoutSeconds: 60,
  heartbeatHintMs: 25_000,
  badFramesPerConnectionMax: 10,
  requestIdCharsMax: 64,
  inFlightPerConnectionMax: 32,

  // Slow viewers: over the soft limit the chat lane is dropped, over the hard limit the socket is closed with "resume".
  backpressureSoftBytes: 64 * 1024,
  backpressureHardBytes: 1024 * 1024,
  /**
   * The kernel takes some 4 MB for each line (tcp_wmem) before anything piles up here. So every so much chat a viewer is asked, by a ping, whether it still
   * reads; who has not answered after that long and was sent that much more is slow. A ping costs two system calls on both sides, so in a loud room the pause
   * counts.
   */
  readProofEveryKib: 512,
  readProofPauseMs: 2_000,
  readProofOverdueKib: 256,
  readProofMs: 1_500,

  // Ticks
  tickMinMs: 20,
  tickMaxMs: 250,
  /**
   * With this much chat waiting, more company saves little: it is written as soon as what is under way is done. Four frames, which go out in two system calls
   * a viewer; of more at once, what the first viewers were sent is out of the processor's caches before they read it (bench/README.md).
   */
  flushFullBytes: 58_000,
  flushFramesMax: 4,
  /** With this much to append, more company saves little: it is appended as soon as Redis has answered. */
  appendFullBytes: 28_000,
  /** Where writing to a room takes so long that its share of the loop asks for longer pauses, less chat than this waits up to that long. */
  tickSparseBytes: 1024,
  tickSparseMaxMs: 500,
  stateTickMs: 250,
  stateTickMaxMs: 1000,
  countdownTickMs: 1000,
  countsTickMs: 1000,
  /** Viewers written to in one turn of the event loop, some 5 us each, 25 us with the most chat: the longest that answers wait for a broadcast. */
  publishViewersPerTurn: 512,
  nodeCountsTtlMs: 15_000,
  /** Kinds of local refusals (sale, code, view) that wait for their report. */
  gateReportsMax: 256,
  roomLingerMs: 30_000,
  /** People whose last socket closed are kept up to date for so long, and so many a room at the most. */
  memberLingerMs: 30_000,
  membersLingeringMax: 20_000,
  roomsPerNodeMax: 20_000,
  countdownHorizonMs: 24 * 60 * 60 * 1000,

  // Chat and hearts
  chatTextCharsMax: 280,
  chatHistoryMessages: 50,
  chatBatchMessagesMax: 500,
  chatBatchBytesMax: 64 * 1024,
  /** Of one connection and of one person, unless set; twice as many may come at once. */
  chatRatePerSecond: 3,
  /** Of one connection, unless set; twice as many may come at once. */
  requestRatePerSecond: 20,
  heartsPerMessageMax: 50,
  heartsRatePerConnectionPerSecond: 20,
  heartsBurstPerConnection: 100,
  chatQueuePerRoomMax: 20_000,
  /** Where chat waits longer to be written, no more is taken (`overloaded`); of what other nodes took, what waits twice as long is left out, and counted. */
  chatWaitMaxMs: 2_000,
  /** The largest display cap a show may set: messages shown in any second, over all nodes. */
  chatShownPerSecondMax: 100_000,
  /** What the display cap left out is told with the next chat, or by itself after this long. */
  chatLeftOutTellMs: 1_000,
  /** Writers of a room whose rate and slow mode a node keeps, whoever they are connected to; the one silent longest makes room. */
  chatWritersKeptMax: 50_000,
  /** Ids of removed messages kept to leave them out of the history. */
  chatRemovedKeptMax: 10_000,
  chatRemovedPerCallMax: 100,
  /** Messages a host is listed with their authors. */
  chatListedMax: 200,
  mutesPerShowMax: 1_000,
  muteMinMs: 1_000,
  muteMaxMs: 30 * 24 * 60 * 60 * 1000,
  /** People new to a node that one report tells of, and that wait for theirs. */
  uniquesPerReportMax: 4_000,
  uniquesWaitingMax: 50_000,

  // Event log and resume
  eventLogEntriesMax: 10_000,
  eventRingEntries: 1_000,
  chatRingBatches: 200,
  chatRingBytesMax: 1024 * 1024,
  chatResumeMessagesMax: 500,
  /** Messages of the relay that wait while a room loads; one more makes it load again. */
  relayBacklogMax: 20_000,

  // Names and texts
  idCharsMax: 64,
  titleCharsMax: 200,
  nameCharsMax: 64,
  userIdCharsMax: 128,
  keyCharsMax: 128,
  orderRefCharsMax: 128,
  announcementCharsMax: 500,
  urlCharsMax: 2048,
  mistakesListedMax: 50,

  // Shows, products, sales
  brandsPerShowMax: 50,
  productsPerShowMax: 1_000,
  skusPerProductMax: 100,
  salesPerShowMax: 200,
  skusPerSaleMax: 200,
  unitsPerSkuMax: 10_000_000,
  priceMinorUnitsMax: 100_000_000_00,
  perBuyerUnitsMax: 1_000,
  saleDurationMinMs: 1_000,
  saleDurationMaxMs: 7 * 24 * 60 * 60 * 1000,
  saleLeadTimeMaxMs: 365 * 24 * 60 * 60 * 1000,
  slowModeMaxMs: 60 * 60 * 1000,
  /** A moment in a request may lie this far back: a command repeated with its key must still reach its recorded answer. */
  momentPastMaxMs: 2 * 24 * 60 * 60 * 1000,

  // Reservations
  holdMinMs: 15_000,
  holdDefaultMs: 120_000,
  holdMaxMs: 15 * 60 * 1000,
  /** A confirm that reaches Redis this long after the deadline still wins, if nobody swept the hold before. */
  confirmGraceMs: 500,
  linesPerReservationMax: 20,
  reserveBatchMax: 32,
  reserveQueuePerShowMax: 20_000,
  reserveBatchesInFlightMax: 2,
  sweepSliceMax: 25,
  /** People served from a line in one script call. */
  waitlistSliceMax: 50,
  /** People in line for one SKU. */
  waitlistPerSkuMax: 100_000,
  idempotencyTtlMs: 24 * 60 * 60 * 1000,
  /** A repeat is told to wait for at most this long when the node that runs the first died; then its key decides. */
  commandMarkerMs: 5_000,

  // HTTP
  httpBodyBytesMax: 256 * 1024,
  httpRatePerMinute: 6_000,
  httpRequestTimeoutMs: 30_000,
  httpRateKeysMax: 10_000,
  tokenTtlSecondsMin: 10,
  tokenTtlSecondsDefault: 12 * 60 * 60,
  tokenTtlSecondsMax: 30 * 24 * 60 * 60,
  demoTokenTtlSeconds: 6 * 60 * 60,
  pageItemsMax: 1_000,

  // Background jobs
  jobSweepEveryMs: 2_000,
  /** The schedule of the sweep is written anew this often, because a crash of Redis may have lost it. */
  jobScheduleGuardMs: 30_000,
  jobConcurrency: 4,
  jobShowsAtOnce: 8,
  jobSlicesPerShowMax: 1_000,
  jobAttemptsMax: 5,
  jobBackoffMs: 250,
  jobsKeptCompleted: 100,
  jobsKeptFailed: 500,
  jobStopMs: 3_000,

  // Redis and stopping
  redisCommandTimeoutMs: 4_000,
  redisRetryMaxMs: 6_000,
  drainMs: 8_000,
  drainReconnectSpreadMs: 3_000,
  /** How long a pass stands for the token of somebody who was sent to another node. */
  passTtlMs: 60_000,
});

const relations: ReadonlyArray<readonly [string, boolean]> = [
  ['tickMinMs <= tickMaxMs <= tickSparseMaxMs', LIMITS.tickMinMs <= LIMITS.tickMaxMs && LIMITS.tickMaxMs <= LIMITS.tickSparseMaxMs],
  ['holdMinMs <= holdDefaultMs <= holdMaxMs', LIMITS.holdMinMs <= LIMITS.holdDefaultMs && LIMITS.holdDefaultMs <= LIMITS.holdMaxMs],
  ['backpressureSoftBytes < backpressureHardBytes', LIMITS.backpressureSoftBytes < LIMITS.backpressureHardBytes],
  ['a ping is given up before the next would be due', LIMITS.readProofOverdueKib < LIMITS.readProofEveryKib],
  ['what is much for a flush fits into its frames', LIMITS.flushFullBytes < LIMITS.flushFramesMax * LIMITS.frameOutBytesTarget],
  ['a tick is no overload', LIMITS.tickSparseMaxMs < LIMITS.chatWaitMaxMs],
  ['one flush makes nobody slow', LIMITS.flushFramesMax * LIMITS.frameOutBytesTarget < LIMITS.backpressureSoftBytes],
  ['a full append fits into a batch', LIMITS.appendFullBytes < LIMITS.chatBatchBytesMax],
  ['frameOutBytesTarget < backpressureSoftBytes', LIMITS.frameOutBytesTarget < LIMITS.backpressureSoftBytes],
  ['confirmGraceMs < 1000: freed within a second of the deadline', LIMITS.confirmGraceMs < 1000],
  ['newcomers of one report fit into one command of Lua (unpack takes some 8,000)', LIMITS.uniquesPerReportMax <= 7_000],
  ['eventRingEntries <= eventLogEntriesMax', LIMITS.eventRingEntries <= LIMITS.eventLogEntriesMax],
  ['a repeated command outlives its moments', LIMITS.momentPastMaxMs >= LIMITS.idempotencyTtlMs],
  ['a running command is marked for longer than Redis may take to answer', LIMITS.commandMarkerMs > LIMITS.redisCommandTimeoutMs],
  ['idempotency keys live at least 24 h', LIMITS.idempotencyTtlMs >= 24 * 60 * 60 * 1000],
  ['idleTimeoutSeconds within what uWebSockets.js accepts', LIMITS.idleTimeoutSeconds >= 8 && LIMITS.idleTimeoutSeconds <= 960],
  ['a token fits into a request head with room for cookies', LIMITS.handshakeTokenBytesMax * 2 <= LIMITS.requestHeadBytesMax],
  ['refusedRetryMinMs < refusedRetryMaxMs', LIMITS.refusedRetryMinMs < LIMITS.refusedRetryMaxMs],
  ['a heartbeat fits twice into the idle timeout', LIMITS.heartbeatHintMs * 2 <= LIMITS.idleTimeoutSeconds * 1000],
  ['stopping jobs fits into a drain', LIMITS.jobStopMs < LIMITS.drainMs],
  ['a Redis retry outlives a command timeout', LIMITS.redisRetryMaxMs > LIMITS.redisCommandTimeoutMs],
];
for (const [rule, holds] of relations) {
  if (!holds) throw new Error(`limits: the relation "${rule}" does not hold`);
}
