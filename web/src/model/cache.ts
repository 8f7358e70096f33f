/** Models and their descriptions, kept by the browser for use without a network. */

const NAME = "models";

/** Cache Storage is missing on pages opened over plain http from another machine. */
async function store(): Promise<Cache | null> {
  try {
    return "caches" in globalThis ? await caches.open(NAME) : null;
  } catch {
    return null; // refused, for example in a private window
  }
}

const modelKey = (sha256: string) => new URL(`models/by-sha256/${sha256}`, location.href).href;

/** A model's bytes by the hash of its content, or null. */
export async function keptModel(sha256: string): Promise<ArrayBuffer | null> {
  const answer = await (await store())?.match(modelKey(sha256));
  return answer ? answer.arrayBuffer() : null;
}

/** Keep a model's bytes; an older one from the same address goes. */
export async function keepModel(address: string, sha256: string, bytes: ArrayBuffer) {
  const cache = await store();
  if (!cache) return;
  try {
    for (const request of await cache.keys()) {
      const from = (await cache.match(request))?.headers.get("X-From");
      if (from === address) await cache.delete(request);
    }
    await cache.put(modelKey(sha256), new Response(bytes, { headers: { "X-From": address } }));
  } catch {
    // a full disk: the page works without
  }
}

/** JSON from the page's own folder; what was kept last where the host can't be reached. */
export async function fetchJson(path: string): Promise<unknown> {
  const url = new URL(path, location.href).href;
  const cache = await store();
  const kept = async () => (await cache?.match(url, { ignoreVary: true }))?.json();
  let answer: Response;
  try {
    answer = await fetch(url, { cache: "no-cache" });
  } catch (error) {
    const json: unknown = await kept();
    if (json === undefined) throw error;
    return json;
  }
  if (!answer.ok) throw new HttpError(answer.status, path);
  await cache?.put(url, answer.clone()).catch(() => undefined);
  return answer.json();
}

export class HttpError extends Error {
  constructor(
    readonly status: number,
    path: string,
  ) {
    super(`${path}: the host answers ${status}`);
  }
}
