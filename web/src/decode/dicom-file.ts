import {
  ByteStream,
  littleEndianByteArrayParser,
  parseDicom,
  readDicomElementExplicit,
  readDicomElementImplicit,
  type DataSet,
} from "dicom-parser";

import { TAG } from "./dicom-tags";
import { hasPreamble, latin1 } from "./header";
import { inflateAll } from "./inflate";
import { BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT } from "./transfer-syntax";

export interface DicomFile {
  dataset: DataSet;
  /** Identifier of the transfer syntax. */
  syntax: string;
}

const AFTER_PREAMBLE = 132;
const META_GROUP = 2;

/** Read a file's data set, also where the preamble or the whole meta group is left out. */
export async function readDicom(data: Uint8Array): Promise<DicomFile> {
  const meta = readMeta(data, hasPreamble(data) ? AFTER_PREAMBLE : 0);
  const rest = data.subarray(meta.end);
  const body = meta.syntax === DEFLATED ? await inflateAll(rest) : rest;
  const plain = isExplicit(body) ? EXPLICIT : IMPLICIT;
  const encoding = meta.syntax === BIG_ENDIAN ? BIG_ENDIAN : plain;
  return { dataset: parse(body, encoding), syntax: meta.syntax ?? plain };
}

/** The transfer syntax that the meta group names, if any does, and where the group ends. */
function readMeta(data: Uint8Array, start: number): { syntax: string | null; end: number } {
  const stream = new ByteStream(littleEndianByteArrayParser, data, start);
  const explicit = isExplicit(data.subarray(start));
  let syntax: string | null = null;
  while (isMeta(data, stream.position)) {
    const element = explicit ? readDicomElementExplicit(stream) : readDicomElementImplicit(stream);
    if (element.tag !== TAG.syntax) continue;
    const value = data.subarray(element.dataOffset, element.dataOffset + element.length);
    syntax = latin1(value).replace(/[\0 ]+$/, "");
  }
  return { syntax, end: stream.position };
}

function isMeta(data: Uint8Array, at: number): boolean {
  return data[at] === META_GROUP && data[at + 1] === 0;
}

/** Whether the first element names its type: some files do other than their syntax says. */
function isExplicit(data: Uint8Array): boolean {
  return [data[4], data[5]].every((byte) => byte !== undefined && byte >= 0x41 && byte <= 0x5a);
}

/** The elements up to where they can be read: after the pixels, some files hold padding. */
function parse(body: Uint8Array, encoding: string): DataSet {
  try {
    return parseDicom(body, { TransferSyntaxUID: encoding });
  } catch (error) {
    const { dataSet } = error as { dataSet?: DataSet };
    if (dataSet) return dataSet;
    throw error;
  }
}
