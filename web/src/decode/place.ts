import { bytesOf, FILE_LIMIT } from "./decode";
import { readDicom } from "./dicom-file";
import { placeInSeries } from "./dicom-place";
import { kindOf } from "./header";

/** What a file's tags tell of its place among others, before anything is decoded. */
export interface Place {
  /** Whether its content is of a known image format. */
  isImage: boolean;
  /** SeriesInstanceUID; "" where there is none. */
  uid: string;
  position: number;
}

/** Bytes that nearly always hold all tags before the pixels. */
const START_BYTES = 1 << 16;

/** Tags are in ascending order: one of a later group tells that all of this one were seen. */
const LAST_OF_GROUP = "x0020ffff";

export async function placeOf(file: Blob): Promise<Place> {
  const nowhere = { uid: "", position: 0 };
  const start = await bytesOf(file.slice(0, START_BYTES)).catch(() => new Uint8Array());
  const kind = kindOf(start);
  if (kind !== "DICOM" || file.size > FILE_LIMIT) return { isImage: kind !== null, ...nowhere };
  const dataset =
    (await tagsOf(start, file.size <= START_BYTES)) ??
    (await bytesOf(file).then((data) => tagsOf(data, true)).catch(() => null));
  return { isImage: true, ...((dataset && placeInSeries(dataset)) ?? nowhere) };
}

/** The file's data set; null where it is damaged, or its start holds too little of it. */
async function tagsOf(data: Uint8Array, whole: boolean) {
  try {
    const { dataset } = await readDicom(data);
    const enough = whole || Object.keys(dataset.elements).some((tag) => tag > LAST_OF_GROUP);
    return enough ? dataset : null;
  } catch {
    return null; // a damaged file meets the parser with errors of every kind
  }
}
