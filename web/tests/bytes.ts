/** Hand-made files, byte by byte. */

export const ascii = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

export function join(...parts: (Uint8Array | number[])[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

export const u16 = (value: number) => [value & 0xff, (value >> 8) & 0xff];
const u32 = (value: number) => [...u16(value & 0xffff), ...u16(value >>> 16)];

export type DicomElement = [group: number, element: number, vr: string, value: number[] | string];

export interface Encoding {
  /** Identifier that the meta group names. */
  syntax?: string;
  implicit?: boolean;
  bigEndian?: boolean;
}

const EXPLICIT = "1.2.840.10008.1.2.1";

/** A DICOM file with preamble and meta group. */
export function dicom(elements: DicomElement[], encoding: Encoding = {}): Uint8Array {
  const { syntax = EXPLICIT } = encoding;
  return join(new Uint8Array(128), ascii("DICM"), metaGroup(syntax), body(elements, encoding));
}

export function metaGroup(syntax = EXPLICIT): Uint8Array {
  const name = encode([2, 0x10, "UI", syntax], {});
  return join(encode([2, 0, "UL", u32(name.length)], {}), name);
}

/** The elements alone, as old archives keep them. */
export function body(elements: DicomElement[], encoding: Encoding = {}): Uint8Array {
  return join(...elements.map((element) => encode(element, encoding)));
}

function encode([group, element, vr, value]: DicomElement, encoding: Encoding): number[] {
  const turned = (bytes: number[]) => (encoding.bigEndian ? bytes.toReversed() : bytes);
  const text = typeof value === "string" ? [...ascii(value)] : value;
  const padding = vr === "UI" ? 0 : 0x20;
  const data = text.length % 2 ? [...text, padding] : text;
  const head = [...turned(u16(group)), ...turned(u16(element))];
  if (encoding.implicit) return [...head, ...u32(data.length), ...data];
  const long = ["OB", "OW", "SQ", "UN"].includes(vr);
  const length = long ? [0, 0, ...turned(u32(data.length))] : turned(u16(data.length));
  return [...head, ...ascii(vr), ...length, ...data];
}

const item = (data: number[]) => [0xfe, 0xff, 0x00, 0xe0, ...u32(data.length), ...data];

/** The pixels of an encapsulated file: an offset table, fragments, the end. */
export function encapsulated(fragments: number[][], offsets: number[] = []): number[] {
  return [
    ...[0xe0, 0x7f, 0x10, 0x00, 0x4f, 0x42, 0, 0, 0xff, 0xff, 0xff, 0xff],
    ...item(offsets.flatMap(u32)),
    ...fragments.flatMap(item),
    ...[0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0],
  ];
}

/** A sequence of one item. */
export function sequence(group: number, element: number, elements: DicomElement[]): DicomElement {
  return [group, element, "SQ", item([...body(elements)])];
}

export interface Slice {
  rows: number;
  columns: number;
  bits?: number;
  stored?: number;
  signed?: boolean;
  photometric?: string;
  samples?: number;
  /** Elements in place of those of the same tag, or beside them; of an empty type, none. */
  more?: DicomElement[];
}

/** The elements that describe a slice's pixels, in the order of their tags. */
export function sliceElements(slice: Slice, encoding: Encoding = {}): DicomElement[] {
  const { rows, columns, bits = 16, stored = bits, signed = false, more = [] } = slice;
  const us = (value: number) => (encoding.bigEndian ? u16(value).toReversed() : u16(value));
  const elements: DicomElement[] = [
    [0x08, 0x60, "CS", "CT"],
    [0x28, 0x02, "US", us(slice.samples ?? 1)],
    [0x28, 0x04, "CS", slice.photometric ?? "MONOCHROME2"],
    [0x28, 0x10, "US", us(rows)],
    [0x28, 0x11, "US", us(columns)],
    [0x28, 0x100, "US", us(bits)],
    [0x28, 0x101, "US", us(stored)],
    [0x28, 0x102, "US", us(stored - 1)],
    [0x28, 0x103, "US", us(signed ? 1 : 0)],
    [0x28, 0x1052, "DS", "0"],
    [0x28, 0x1053, "DS", "1"],
  ];
  const kept = elements.filter(([a, b]) => !more.some(([c, d]) => a === c && b === d));
  return [...kept, ...more]
    .filter(([, , vr]) => vr !== "")
    .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
}

export const words = (values: number[]): DicomElement => [0x7fe0, 0x10, "OW", values.flatMap(u16)];
export const bytes = (values: number[]): DicomElement => [0x7fe0, 0x10, "OB", values];
