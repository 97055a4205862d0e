/**
 * Preloaded into a process: its wall clock is off by SHIFT_MS. The monotonic clock runs true, as on
 * a machine whose clock was set wrong.
 */
const shiftMs = Number(process.env.SHIFT_MS ?? 0);
const TrueDate = Date;

class ShiftedDate extends TrueDate {
  constructor(...args) {
    if (args.length === 0) super(TrueDate.now() + shiftMs);
    else super(...args);
  }

  static now() {
    return TrueDate.now() + shiftMs;
  }
}

globalThis.Date = new Proxy(ShiftedDate, { apply: () => new ShiftedDate().toString() });
