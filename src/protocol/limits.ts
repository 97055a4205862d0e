/** The limits a client must know. A message beyond one of them is refused with a code. */
export const LIMITS = Object.freeze({
  /** Bytes of one WebSocket message from a client. */
  frameInBytesMax: 16 * 1024,
  /** Requests of one connection that have no reply yet. */
  inFlightPerConnectionMax: 32,
  requestIdCharsMax: 64,
  /** Ids of shows, sales, products, SKUs and reservations. */
  idCharsMax: 64,
  keyCharsMax: 128,
  chatTextCharsMax: 280,
  /** Recent chat messages in a welcome. */
  chatHistoryMessages: 50,
  heartsPerMessageMax: 50,
  linesPerReservationMax: 20,
  /** Largest per-buyer limit of a sale, and so the largest quantity of one item. */
  perBuyerUnitsMax: 1_000,
});
