/** Keep the page's own files for use without a network. */
export function keepOffline(): void {
  if (import.meta.env.PROD && "serviceWorker" in navigator) {
    navigator.serviceWorker.register("sw.js").catch(() => undefined); // the page works without
  }
}
