import charlsBinary from "@cornerstonejs/codec-charls/decodewasm?url";
import openjpegBinary from "@cornerstonejs/codec-openjpeg/decodewasm?url";

import { TellableError } from "../errors";
import { decodeLossless } from "./jpeg-lossless";
import type { Storage } from "./transfer-syntax";

/** A decompressed picture of one sample per pixel. */
export interface Frame {
  width: number;
  height: number;
  /** Bits of a value; those above may repeat its sign. */
  bits: number;
  values: Uint8Array | Uint16Array;
}

type Codec = Extract<Storage, "jpeg-lossless" | "jpeg-ls" | "jpeg-2000">;

const charls = once(async () => {
  const { default: create } = await import("@cornerstonejs/codec-charls/decodewasmjs");
  return (await create(await native(charlsBinary))).JpegLSDecoder;
});
const openjpeg = once(async () => {
  const { default: create } = await import("@cornerstonejs/codec-openjpeg/decodewasmjs");
  return (await create(await native(openjpegBinary))).J2KDecoder;
});

const DECODERS: Record<Codec, (data: Uint8Array) => Promise<Frame>> = {
  "jpeg-lossless": async (data) => decodeLossless(data),
  "jpeg-ls": async (data) => decodeNative(new (await charls())(), data),
  "jpeg-2000": async (data) => decodeNative(new (await openjpeg())(), data),
};

/** Decompress a picture; its decoder is loaded when the first such file comes. */
export function decompress(data: Uint8Array, codec: Codec): Promise<Frame> {
  return DECODERS[codec](data);
}

function once<T>(load: () => Promise<T>): () => Promise<T> {
  let loaded: Promise<T> | null = null;
  return () =>
    (loaded ??= load().catch(() => {
      throw new TellableError("The decoder of this compression did not load; reload the page.");
    }));
}

/** The page's own policy lets the binary come from its folder alone. */
async function native(binary: string): Promise<NativeOptions> {
  const answer = await fetch(new URL(binary, import.meta.url));
  const silent = () => undefined;
  return { wasmBinary: await answer.arrayBuffer(), print: silent, printErr: silent };
}

function decodeNative(decoder: NativeDecoder, data: Uint8Array): Frame {
  try {
    decoder.getEncodedBuffer(data.length).set(data);
    decoder.decode();
    const { width, height, bitsPerSample: bits, componentCount, isSigned } = decoder.getFrameInfo();
    if (isSigned && bits <= 8) {
      throw new TellableError(
        "JPEG 2000 of signed values of 8 bits is not read here; export the image as PNG.",
      ); // the decoder would cut off all that is below zero
    }
    const bytes = decoder.getDecodedBuffer().slice(); // out of the decoder's memory
    const values = bits > 8 ? new Uint16Array(bytes.buffer) : bytes;
    if (componentCount !== 1 || values.length !== width * height) throw new Error("not decoded");
    return { width, height, bits, values };
  } finally {
    decoder.delete();
  }
}
