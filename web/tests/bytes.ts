/** Hand-made files, byte by byte. */

export const ascii = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

export function join(...parts: (Uint8Array | number[])[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

export const u16 = (value: number) => [value & 0xff, (value >> 8) & 0xff];
const u32 = (value: number) => [...u16(value & 0xffff), ...u16(value >>> 16)];

export type DicomElement = [group: number, element: number, vr: string, value: number[] | string];

/** A DICOM file of explicit (or implicit) little-endian elements. */
export function dicom(elements: DicomElement[], syntax = "1.2.840.10008.1.2.1"): Uint8Array {
  const explicit = syntax !== "1.2.840.10008.1.2";
  const meta = encode([2, 0x10, "UI", syntax], true);
  const body = elements.map((element) => encode(element, explicit));
  return join(
    new Uint8Array(128),
    ascii("DICM"),
    encode([2, 0, "UL", u32(meta.length)], true),
    meta,
    ...body,
  );
}

function encode([group, element, vr, value]: DicomElement, explicit: boolean): number[] {
  const text = typeof value === "string" ? [...ascii(value)] : value;
  const padding = vr === "UI" ? 0 : 0x20;
  const data = text.length % 2 ? [...text, padding] : text;
  const head = [...u16(group), ...u16(element)];
  if (!explicit) return [...head, ...u32(data.length), ...data];
  const long = ["OB", "OW", "SQ", "UN"].includes(vr);
  const length = long ? [0, 0, ...u32(data.length)] : u16(data.length);
  return [...head, ...ascii(vr), ...length, ...data];
}

/** The pixels of an encapsulated file: an empty offset table, one fragment, the end. */
export function encapsulated(fragment: number[]): number[] {
  const item = (data: number[]) => [0xfe, 0xff, 0x00, 0xe0, ...u32(data.length), ...data];
  return [
    ...[0xe0, 0x7f, 0x10, 0x00, 0x4f, 0x42, 0, 0, 0xff, 0xff, 0xff, 0xff],
    ...item([]),
    ...item(fragment),
    ...[0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0],
  ];
}

export interface Slice {
  rows: number;
  columns: number;
  bits?: number;
  stored?: number;
  signed?: boolean;
  photometric?: string;
  samples?: number;
  more?: DicomElement[];
}

/** The elements that describe a slice's pixels, in the order of their tags. */
export function sliceElements(slice: Slice): DicomElement[] {
  const { rows, columns, bits = 16, stored = bits, signed = false, more = [] } = slice;
  const elements: DicomElement[] = [
    [0x08, 0x60, "CS", "CT"],
    [0x28, 0x02, "US", u16(slice.samples ?? 1)],
    [0x28, 0x04, "CS", slice.photometric ?? "MONOCHROME2"],
    [0x28, 0x10, "US", u16(rows)],
    [0x28, 0x11, "US", u16(columns)],
    [0x28, 0x100, "US", u16(bits)],
    [0x28, 0x101, "US", u16(stored)],
    [0x28, 0x103, "US", u16(signed ? 1 : 0)],
    ...more,
  ];
  return elements.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
}
