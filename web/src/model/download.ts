import { TellableError } from "../errors";
import { modelFileOf } from "./bundle";
import { keepModel, keptModel } from "./cache";
import type { Offer } from "./catalog";

/** Bytes of the offer's model, verified; from the browser's own store where they are kept. */
export async function loadModel(
  offer: Offer,
  onProgress: (share: number) => void,
): Promise<ArrayBuffer> {
  const file = modelFileOf(offer.bundle)!;
  const { bytes: size, sha256 } = offer.bundle.files[file]!;
  const kept = await keptModel(sha256);
  if (kept && (await isIntact(kept, size, sha256))) return kept;

  const address = `${offer.path}/${file}`;
  const bytes = await download(address, size, onProgress);
  if (!(await isIntact(bytes, size, sha256))) {
    throw new TellableError(
      `The model file ${address} is damaged: its content is not what its description says. ` +
        "Export it anew with kidneyct export, then build the page again.",
    );
  }
  await keepModel(address, sha256, bytes);
  return bytes;
}

async function download(
  address: string,
  size: number,
  onProgress: (share: number) => void,
): Promise<ArrayBuffer> {
  let answer: Response;
  try {
    answer = await fetch(address, { cache: "no-cache" });
  } catch {
    throw new TellableError("The model could not be loaded: the page's host can't be reached.");
  }
  if (!answer.ok || !answer.body) {
    throw new TellableError(
      `The model file ${address} is missing (the host answers ${answer.status}); build the page ` +
        "again.",
    );
  }
  const parts: BlobPart[] = [];
  let received = 0;
  const reader = answer.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    received += value.length;
    onProgress(Math.min(1, received / size));
  }
  return new Blob(parts).arrayBuffer();
}

/** Whether the bytes are those described; only their number where the browser can't hash. */
async function isIntact(bytes: ArrayBuffer, size: number, sha256: string): Promise<boolean> {
  if (bytes.byteLength !== size) return false;
  if (!globalThis.crypto?.subtle) return true; // plain http from another machine
  return hex(await crypto.subtle.digest("SHA-256", bytes)) === sha256;
}

export function hex(bytes: ArrayBuffer): string {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
