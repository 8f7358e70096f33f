import { TellableError } from "../errors";
import { decodeDicom } from "./dicom";
import { HEAD_BYTES, kindOf, type Kind } from "./header";
import type { Pixels } from "./pixels";
import { decodeJpeg, decodePng } from "./raster";

/** Largest file that is read into memory. */
export const FILE_LIMIT = 1 << 29;

/** Decode a picture file to RGB; its format is recognised by its content, never by its name. */
export async function decodeFile(file: Blob): Promise<Pixels> {
  if (file.size === 0) throw new TellableError("The file is empty; copy or download it again.");
  const head = await bytesOf(file.slice(0, HEAD_BYTES));
  const kind = kindOf(head);
  if (!kind) throw new TellableError(unknownKind(head));
  if (kind === "TIFF") {
    throw new TellableError(
      "TIFF is not read in the browser; save it as PNG, or use the command kidneyct predict.",
    );
  }
  if (file.size > FILE_LIMIT) {
    throw new TellableError("The file is larger than 512 MB; export a single slice.");
  }
  return decodeKind(await bytesOf(file), kind);
}

async function decodeKind(data: Uint8Array, kind: Exclude<Kind, "TIFF">): Promise<Pixels> {
  try {
    if (kind === "DICOM") return await decodeDicom(data, decodeJpeg);
    return kind === "PNG" ? await decodePng(data) : await decodeJpeg(data);
  } catch (error) {
    if (error instanceof TellableError) throw error;
    // Decoders meet damaged bytes with errors of every kind.
    throw new TellableError(
      `The ${kind} image is damaged, cut short or of an unknown variant; copy or export it again.`,
    );
  }
}

export async function bytesOf(blob: Blob): Promise<Uint8Array> {
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch {
    throw new TellableError(
      "The file can't be read; choose it again, and of a folder choose the files inside.",
    );
  }
}

/** What a file of no known format begins with, in words that help to recognise it. */
export function unknownKind(head: Uint8Array): string {
  const start = head.subarray(0, 8);
  const text = Array.from(start, (byte) =>
    byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "·",
  ).join("");
  return (
    `This is not a JPEG, PNG or DICOM image, whatever its name says (it begins with “${text}”); ` +
    "save it as one of these."
  );
}
