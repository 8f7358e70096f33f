import type { Frame } from "./codecs";
import { jpegHeader } from "./header";

const DEFINE_TABLES = 0xffc4;
const LOSSLESS_FRAME = 0xffc3;
const START_OF_SCAN = 0xffda;
const RESTART_INTERVAL = 0xffdd;

/**
 * Decode a lossless JPEG of one component, Huffman-coded (ITU-T T.81, annex H).
 *
 * The package jpeg-lossless-decoder-js (2.1.2) gives other values, and no error, where there are
 * restart intervals or a point transform.
 */
export function decodeLossless(data: Uint8Array): Frame {
  if (!jpegHeader(data)?.complete) throw new Error("the JPEG is cut short");
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const tables: HuffmanTable[] = [];
  let size: Size | null = null;
  let interval = 0;
  for (let at = 2; at + 4 <= data.length;) {
    const marker = view.getUint16(at);
    const segment = data.subarray(at + 4, at + 2 + view.getUint16(at + 2));
    at += 4 + segment.length;
    if (marker === DEFINE_TABLES) readTables(segment, tables);
    if (marker === RESTART_INTERVAL) interval = u16(segment, 0);
    if (marker === LOSSLESS_FRAME) size = sizeOf(segment);
    if (marker === START_OF_SCAN && size) {
      return decodeScan(new BitReader(data, at), size, scanOf(segment, tables, interval));
    }
  }
  throw new Error("no lossless picture");
}

const u16 = (bytes: Uint8Array, at: number) => (bytes[at]! << 8) | bytes[at + 1]!;

type Size = Pick<Frame, "width" | "height" | "bits">;

function sizeOf(segment: Uint8Array): Size {
  if (segment[5] !== 1) throw new Error(`${segment[5]} components`);
  return { bits: segment[0]!, height: u16(segment, 1), width: u16(segment, 3) };
}

interface Scan {
  table: HuffmanTable;
  predictor: number;
  /** Bits that were cut off below each value: the point transform. */
  shift: number;
  /** Pixels between two restarts; 0 for none. */
  interval: number;
}

function scanOf(segment: Uint8Array, tables: HuffmanTable[], interval: number): Scan {
  const [, , tableOf, predictor, , shift] = segment;
  const table = tables[tableOf! >> 4];
  if (!table) throw new Error("the table of the scan is not defined");
  return { table, predictor: predictor!, shift: shift! & 15, interval };
}

/** How many codes there are of each length, from 1, and what they stand for, in order. */
interface HuffmanTable {
  counts: Uint8Array;
  symbols: Uint8Array;
}

function readTables(segment: Uint8Array, tables: HuffmanTable[]): void {
  for (let at = 0; at < segment.length;) {
    const counts = segment.subarray(at + 1, at + 17);
    const end = at + 17 + counts.reduce((total, count) => total + count, 0);
    tables[segment[at]! & 15] = { counts, symbols: segment.subarray(at + 17, end) };
    at = end;
  }
}

class BitReader {
  private byte = 0;
  private left = 0;

  constructor(
    private readonly data: Uint8Array,
    private at: number,
  ) {}

  bits(count: number): number {
    let value = 0;
    for (let i = 0; i < count; i++) value = (value << 1) | this.bit();
    return value;
  }

  symbol({ counts, symbols }: HuffmanTable): number {
    let code = 0;
    let first = 0; // code of this length
    let before = 0; // codes that are shorter
    for (const count of counts) {
      code = (code << 1) | this.bit();
      if (code - first < count) return symbols[before + code - first]!;
      before += count;
      first = (first + count) << 1;
    }
    throw new Error("there is no such code");
  }

  /** Skip the marker between two intervals. */
  restart(): void {
    const marker = u16(this.data, this.at);
    if (marker < 0xffd0 || marker > 0xffd7) throw new Error("a restart is missing");
    this.at += 2;
    this.left = 0;
  }

  private bit(): number {
    if (this.left === 0) this.next();
    this.left--;
    return (this.byte >> this.left) & 1;
  }

  private next(): void {
    this.byte = this.data[this.at++]!;
    this.left = 8;
    const stuffed = this.byte === 0xff;
    if (stuffed && this.data[this.at++] !== 0) throw new Error("the coded data ends too early");
  }
}

function decodeScan(reader: BitReader, size: Size, scan: Scan): Frame {
  const { width, height, bits } = size;
  const { table, shift, interval } = scan;
  if (interval % width) throw new Error("a restart within a row");
  const values = new Uint16Array(width * height);
  for (let start = 0; start < values.length; start += width) {
    const restarts = start > 0 && start % interval === 0;
    if (restarts) reader.restart();
    const isFirst = start === 0 || restarts;
    const above = isFirst ? 1 << (bits - shift - 1) : values[start - width]!;
    values[start] = above + difference(reader, table);
    const predict = PREDICTORS[isFirst ? 1 : scan.predictor]!;
    for (let at = start + 1; at < start + width; at++) {
      const guess = predict(values[at - 1]!, values[at - width]!, values[at - width - 1]!);
      values[at] = guess + difference(reader, table);
    }
  }
  return { width, height, bits, values: values.map((value) => value << shift) };
}

type Predictor = (left: number, above: number, corner: number) => number;

const PREDICTORS: Record<number, Predictor> = {
  1: (left) => left,
  2: (_left, above) => above,
  3: (_left, _above, corner) => corner,
  4: (left, above, corner) => left + above - corner,
  5: (left, above, corner) => left + ((above - corner) >> 1),
  6: (left, above, corner) => above + ((left - corner) >> 1),
  7: (left, above) => (left + above) >> 1,
};

function difference(reader: BitReader, table: HuffmanTable): number {
  const size = reader.symbol(table);
  if (size === 0) return 0;
  if (size === 16) return 1 << 15; // the only one of its size: no bits follow
  const value = reader.bits(size);
  return value < 1 << (size - 1) ? value - (1 << size) + 1 : value;
}
