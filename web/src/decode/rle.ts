/**
 * Decode a DICOM RLE frame (DICOM PS3.5, annex G) to little-endian values, samples interleaved.
 *
 * A segment holds one byte of every pixel: the planes of each sample from its highest byte down.
 */
export function decodeRle(
  frame: Uint8Array,
  pixels: number,
  samples: number,
  bytes: number,
): Uint8Array {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const planes = view.getUint32(0, true);
  if (planes !== samples * bytes) throw new Error(`${planes} RLE planes, not ${samples * bytes}`);
  const out = new Uint8Array(pixels * samples * bytes);
  for (let plane = 0; plane < planes; plane++) {
    const start = view.getUint32(4 + 4 * plane, true);
    const end = plane + 1 < planes ? view.getUint32(8 + 4 * plane, true) : frame.length;
    const values = unpack(frame.subarray(start, end), pixels);
    const sample = Math.floor(plane / bytes);
    const byte = bytes - 1 - (plane % bytes);
    for (let i = 0; i < pixels; i++) out[(i * samples + sample) * bytes + byte] = values[i]!;
  }
  return out;
}

function unpack(data: Uint8Array, size: number): Uint8Array {
  const out = new Uint8Array(size);
  let filled = 0;
  for (let at = 0; at < data.length && filled < size;) {
    const count = data[at++]!;
    if (count < 128) {
      const run = data.subarray(at, at + Math.min(count + 1, size - filled));
      out.set(run, filled);
      at += count + 1;
      filled += run.length;
    } else if (count > 128 && at < data.length) {
      out.fill(data[at++]!, filled, filled + 257 - count);
      filled += 257 - count;
    }
  }
  if (filled < size) throw new Error("an RLE segment is cut short");
  return out;
}
