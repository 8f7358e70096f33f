/** How the pixels of a DICOM file are stored (DICOM PS3.6, table A-1). */

export type Storage = "plain" | "rle" | "jpeg" | "jpeg-lossless" | "jpeg-ls" | "jpeg-2000";

export const IMPLICIT = "1.2.840.10008.1.2";
export const EXPLICIT = "1.2.840.10008.1.2.1";
export const DEFLATED = "1.2.840.10008.1.2.1.99";
export const BIG_ENDIAN = "1.2.840.10008.1.2.2";

const SYNTAXES: Record<string, [name: string, storage: Storage | null]> = {
  [IMPLICIT]: ["Implicit VR Little Endian", "plain"],
  [EXPLICIT]: ["Explicit VR Little Endian", "plain"],
  [DEFLATED]: ["Deflated Explicit VR Little Endian", "plain"],
  [BIG_ENDIAN]: ["Explicit VR Big Endian", "plain"],
  "1.2.840.10008.1.2.5": ["RLE Lossless", "rle"],
  "1.2.840.10008.1.2.4.50": ["JPEG Baseline", "jpeg"],
  "1.2.840.10008.1.2.4.51": ["JPEG Extended", null],
  "1.2.840.10008.1.2.4.57": ["JPEG Lossless", "jpeg-lossless"],
  "1.2.840.10008.1.2.4.70": ["JPEG Lossless, First-Order Prediction", "jpeg-lossless"],
  "1.2.840.10008.1.2.4.80": ["JPEG-LS Lossless", "jpeg-ls"],
  "1.2.840.10008.1.2.4.81": ["JPEG-LS Near-lossless", "jpeg-ls"],
  "1.2.840.10008.1.2.4.90": ["JPEG 2000 Lossless", "jpeg-2000"],
  "1.2.840.10008.1.2.4.91": ["JPEG 2000", "jpeg-2000"],
  "1.2.840.10008.1.2.4.201": ["High-Throughput JPEG 2000 Lossless", null],
  "1.2.840.10008.1.2.4.203": ["High-Throughput JPEG 2000", null],
};

/** Null of a compression that is not read. */
export function storageOf(uid: string): Storage | null {
  return SYNTAXES[uid]?.[1] ?? null;
}

/** The syntax in words where it is a usual one, with its identifier. */
export function syntaxName(uid: string): string {
  return SYNTAXES[uid] ? `${SYNTAXES[uid][0]} (${uid})` : uid || "unnamed";
}
