// Keeps the page's own files for use without a network. The build fills in the two lists below.
// The page itself keeps the models (model/cache.ts), each under the hash of its content.
const VERSION = __VERSION__;
const FILES = __FILES__;

const CACHE = `page-${VERSION}`;
const ROOT = new URL("./", self.location.href).href;
const KEPT = new Set(FILES.map((name) => new URL(name, ROOT).href));

self.addEventListener("install", (event) => {
  const requests = [...KEPT].map((url) => new Request(url, { cache: "reload" }));
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
  return (await caches.match(`${ROOT}index.html`, { cacheName: CACHE })) ?? Response.error();
}

async function keptFile(request) {
  return (await caches.match(request, { cacheName: CACHE, ignoreSearch: true })) ?? fetch(request);
}
