import { readFileSync } from "node:fs";
import { crc32, deflateSync, constants, createDeflate } from "node:zlib";

const file = (name: string, buffer: Buffer, mimeType = "") => ({ name, mimeType, buffer });

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(crc32(body), 4);
  return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
}

function png(width: number, height: number, bitDepth: number, data: Buffer): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([bitDepth, 0, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk("IHDR", header),
    chunk("IDAT", data),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

/** 20,000 x 20,000 pixels of one bit: 50 MB of zeros in some 50 kB. */
export async function hugePng(): Promise<Buffer> {
  const [side, row] = [20_000, Buffer.alloc(2501)];
  const deflate = createDeflate({ level: constants.Z_BEST_COMPRESSION });
  const parts: Buffer[] = [];
  deflate.on("data", (part: Buffer) => parts.push(part));
  for (let y = 0; y < side; y++) deflate.write(row);
  deflate.end();
  await new Promise((resolve) => deflate.on("end", resolve));
  return png(side, side, 1, Buffer.concat(parts));
}

/** A gray PNG of 8 bits, every pixel of one value. */
export function plainPng(side: number, value: number): Buffer {
  const rows = Buffer.alloc((side + 1) * side, value);
  for (let y = 0; y < side; y++) rows[y * (side + 1)] = 0; // no row filter
  return png(side, side, 8, deflateSync(rows));
}

/** A DICOM file of explicit little-endian elements, without pixels. */
export function dicomWithoutPixels(): Buffer {
  const element = (group: number, number: number, vr: string, text: string) => {
    const value = Buffer.from(text.length % 2 ? `${text}\0` : text, "latin1");
    const head = Buffer.alloc(8);
    head.writeUInt16LE(group, 0);
    head.writeUInt16LE(number, 2);
    head.write(vr, 4, "latin1");
    head.writeUInt16LE(value.length, 6);
    return Buffer.concat([head, value]);
  };
  return Buffer.concat([
    Buffer.alloc(128),
    Buffer.from("DICM", "latin1"),
    element(0x0002, 0x0010, "UI", "1.2.840.10008.1.2.1"),
    element(0x0008, 0x0060, "CS", "SR"),
    element(0x0010, 0x0010, "PN", "Nobody"),
  ]);
}

/** Files that can't be answered, each with words that its message must hold. */
export async function oddFiles(jpeg: string, goodPng: string) {
  const whole = readFileSync(jpeg);
  const picture = readFileSync(goodPng);
  return [
    [file("cut.jpg", whole.subarray(0, whole.length / 2)), "cut short"],
    [file("cut.png", picture.subarray(0, picture.length / 2)), "cut short"],
    [file("text.png", Buffer.from("these are words\n")), "not a JPEG, PNG or DICOM image"],
    [file("huge.png", await hugePng()), "20000 × 20000"],
    [file("report.dcm", dicomWithoutPixels()), "holds no image"],
    [file("empty.png", Buffer.alloc(0)), "empty"],
    [file("=sum(a1).tif", Buffer.from("II*\0rest of it")), "TIFF is not read"],
    [file("damaged.png", damaged(picture)), "damaged"],
  ] as const;
}

/** The pixel data damaged, all else in place. */
function damaged(picture: Buffer): Buffer {
  const copy = Buffer.from(picture);
  const start = copy.indexOf("IDAT") + 4;
  copy.fill(0xab, start, start + 200);
  return copy;
}
