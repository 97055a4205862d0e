/** The limits a client must know. A message beyond one of them is refused with a code. */

// Those that the SDK uses are constants, because a bundler keeps all of an object.
/** Requests of one connection that have no reply yet. */
export const IN_FLIGHT_PER_CONNECTION_MAX = 32;
/** Recent chat messages in a welcome. */
export const CHAT_HISTORY_MESSAGES = 50;
export const HEARTS_PER_MESSAGE_MAX = 50;
/** First byte of a compressed server message (M-4). Plain messages are maps: 0x80 or higher. */
export const DEFLATE_MARK = 0x01;
/** Bytes of a compressed message when it is inflated. Longer messages are sent plain. */
export const INFLATED_BYTES_MAX = 1024 * 1024;

export const LIMITS = /* @__PURE__ */ Object.freeze({
  /** Bytes of one WebSocket message from a client. */
  frameInBytesMax: 16 * 1024,
  inFlightPerConnectionMax: IN_FLIGHT_PER_CONNECTION_MAX,
  requestIdCharsMax: 64,
  /** Ids of shows, sales, products, SKUs and reservations. */
  idCharsMax: 64,
  keyCharsMax: 128,
  chatTextCharsMax: 280,
  chatHistoryMessages: CHAT_HISTORY_MESSAGES,
  heartsPerMessageMax: HEARTS_PER_MESSAGE_MAX,
  inflatedBytesMax: INFLATED_BYTES_MAX,
  linesPerReservationMax: 20,
  /** Largest per-buyer limit of a sale, and so the largest quantity of one item. */
  perBuyerUnitsMax: 1_000,
});
