/** How the pixels of a DICOM file are stored (DICOM PS3.6, table A-1). */

export type Storage = "little" | "big" | "rle" | "jpeg";

const READ: Record<string, Storage> = {
  "1.2.840.10008.1.2": "little",
  "1.2.840.10008.1.2.1": "little",
  "1.2.840.10008.1.2.2": "big",
  "1.2.840.10008.1.2.4.50": "jpeg",
  "1.2.840.10008.1.2.5": "rle",
};

const NAMES: Record<string, string> = {
  "1.2.840.10008.1.2.1.99": "Deflated Explicit VR Little Endian",
  "1.2.840.10008.1.2.4.51": "JPEG Extended",
  "1.2.840.10008.1.2.4.57": "JPEG Lossless",
  "1.2.840.10008.1.2.4.70": "JPEG Lossless, first-order prediction",
  "1.2.840.10008.1.2.4.80": "JPEG-LS Lossless",
  "1.2.840.10008.1.2.4.81": "JPEG-LS Near-lossless",
  "1.2.840.10008.1.2.4.90": "JPEG 2000 Lossless",
  "1.2.840.10008.1.2.4.91": "JPEG 2000",
  "1.2.840.10008.1.2.4.201": "High-Throughput JPEG 2000 Lossless",
};

export function storageOf(uid: string): Storage | null {
  return READ[uid] ?? null;
}

/** The syntax in words where it is a usual one, with its identifier. */
export function syntaxName(uid: string): string {
  return NAMES[uid] ? `${NAMES[uid]} (${uid})` : uid || "unnamed";
}
