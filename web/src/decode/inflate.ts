import { TellableError } from "../errors";

/** Largest content of a deflated file: a small file may hold more than any memory. */
const INFLATED_LIMIT = 1 << 29;

/** Some writers add a checksum and a size, 8 bytes, and one byte of padding to an even length. */
const MOST_AFTER_END = 9;

/** Inflate at most `size` bytes; stops reading there, whatever the stream still promises. */
export async function inflate(parts: BlobPart[], size: number): Promise<Uint8Array> {
  const reader = readerOf(parts, "deflate");
  const out = new Uint8Array(size);
  let filled = 0;
  while (filled < size) {
    const { done, value } = await reader.read();
    if (done) throw new Error("the pixel data is cut short");
    out.set(value.subarray(0, size - filled), filled);
    filled += value.length;
  }
  await reader.cancel().catch(() => undefined);
  return out;
}

/** Inflate a raw stream; browsers take nothing after its end, so where that lies is tried. */
export async function inflateAll(data: Uint8Array): Promise<Uint8Array> {
  for (let after = 0; after <= MOST_AFTER_END; after++) {
    try {
      return await inflateRaw(data.subarray(0, data.length - after));
    } catch (error) {
      if (error instanceof TellableError) throw error;
    }
  }
  throw new Error("the deflated data is cut short or damaged");
}

async function inflateRaw(data: Uint8Array): Promise<Uint8Array> {
  const reader = readerOf([data as BlobPart], "deflate-raw");
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    parts.push(next.value);
    size += next.value.length;
    if (size > INFLATED_LIMIT) {
      await reader.cancel().catch(() => undefined);
      throw new TellableError("The file holds more than 512 MB; export a single slice.");
    }
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

function readerOf(parts: BlobPart[], format: CompressionFormat) {
  return new Blob(parts).stream().pipeThrough(new DecompressionStream(format)).getReader();
}
