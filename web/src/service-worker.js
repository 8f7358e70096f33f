// Keeps the page's own files for use without a network. The build fills in the two lists below.
// The page itself keeps the models (model/cache.ts), each under the hash of its content.
const VERSION = __VERSION__;
const FILES = __FILES__;

const CACHE = `page-${VERSION}`;
const ROOT = new URL("./", self.location.href).href;
// The page is asked for by its folder: hosts differ in what they answer to "index.html".
const KEPT = new Set(FILES.map((name) => new URL(name.replace(/^index\.html$/, ""), ROOT).href));

self.addEventListener("install", (event) => {
  // "no-cache" asks the host whether a file that the page has loaded is still the same.
  const requests = [...KEPT].map((url) => new Request(url, { cache: "no-cache" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(requests)));
});

// Without skipWaiting: a page that is open keeps the files it was built with until it is closed.
self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => names.filter((name) => name.startsWith("page-") && name !== CACHE))
      .then((old) => Promise.all(old.map((name) => caches.delete(name)))),
  );
});

self.addEventListener("fetch", (event) => {
  const url = event.request.url.split(/[?#]/)[0];
  if (event.request.method !== "GET") return;
  if (event.request.mode === "navigate" && (url === ROOT || url === `${ROOT}index.html`)) {
    event.respondWith(pageFromNetwork(event.request));
  } else if (KEPT.has(url)) {
    event.respondWith(keptFile(event.request));
  }
});

// The newest page if the host can be reached; its files have their hash in their names.
async function pageFromNetwork(request) {
  try {
    const answer = await fetch(request);
    if (answer.ok) return answer;
  } catch {
    // no network: the kept page below
  }
  return (await kept(ROOT)) ?? Response.error();
}

async function keptFile(request) {
  return (await kept(request)) ?? fetch(request);
}

// Hosts send `Vary: Origin`, which differs between a page's requests and a worker's.
const kept = (request) =>
  caches.match(request, { cacheName: CACHE, ignoreSearch: true, ignoreVary: true });
