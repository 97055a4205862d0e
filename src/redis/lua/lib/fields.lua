-- fields: positions of the values in packed records. A release may only append positions.
-- Exports Fields.stock, Fields.reservation, Fields.buyer.
return {
  stock = {
    ALLOCATED = 1, AVAILABLE = 2, HELD = 3, SOLD = 4, WITHDRAWN = 5, PRICE = 6,
    PER_BUYER = 7, -- 0: no limit for this SKU
    PRODUCT = 8,
  },
  -- USER, ID and STATE come first, so that a node can skip records that do not concern it. A
  -- reserve request is the fields up to KEY; a hold appends the others.
  reservation = {
    USER = 1, ID = 2, STATE = 3,
    OFFER = 4, -- 1: made from the waitlist, else 0
    SALE = 5,
    ITEMS = 6, -- {sku, qty, sku, qty, ...} sorted by SKU
    KEY = 7, AMOUNT = 8, CURRENCY = 9, CREATED = 10, UNTIL = 11,
    ENDED = 12, -- 0: not yet
    ORDER = 13, -- '': none
    FIRST_UNTIL = 14, -- the first deadline of an extended hold, else 0
    -- What the host noted of an order: {note, tracking, fulfillment}; and of a refund {refundedAt,
    -- restocked, refundReason}. Often missing. Nodes cannot read records of more than 15 fields.
    MORE = 15,
  },
  -- A buyer's record is {sale id -> entry}. An entry stays when everything in it has ended: a
  -- repeated key must still find it.
  buyer = {
    UNITS = 1, -- held and owned
    BY_SKU = 2, -- sku -> units
    WAITS = 3, -- sku -> {member of the waitlist, qty, reservation id of a later offer, joined at, key}
    IDS = 4, -- ids of holds and orders, a blank before each
  },
}
