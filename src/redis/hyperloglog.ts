/** The format of a HyperLogLog in Redis: a server refuses every later command on a damaged one. */

const HEAD_BYTES = 16;
const REGISTERS = 16_384;
const DENSE_BYTES = HEAD_BYTES + (REGISTERS * 6) / 8;
const [DENSE, SPARSE] = [0, 1];

/** Returns how many registers the sparse opcodes describe; NaN if the last one is cut. */
function sparseRegisters(bytes: Buffer): number {
  let registers = 0;
  for (let at = HEAD_BYTES; at < bytes.length; at += 1) {
    const code = bytes[at] as number;
    if (code < 0x40) registers += code + 1;
    else if (code >= 0x80) registers += (code & 0x03) + 1;
    else {
      at += 1;
      registers += (((code & 0x3f) << 8) | (bytes[at] ?? Number.NaN)) + 1;
      if (at >= bytes.length) return Number.NaN;
    }
  }
  return registers;
}

/** Returns what is wrong, or null. */
export function hyperLogLogProblem(bytes: Buffer): string | null {
  const encoding = bytes[4];
  if (bytes.length < HEAD_BYTES || bytes.toString('latin1', 0, 4) !== 'HYLL') return ' is not a HyperLogLog';
  if (encoding === DENSE && bytes.length === DENSE_BYTES) return null;
  if (encoding === SPARSE && bytes.length < DENSE_BYTES && sparseRegisters(bytes) === REGISTERS) return null;
  return ' is a damaged HyperLogLog';
}
