import { byId } from "./dom";

/** Files that are chosen, dropped anywhere on the page, or pasted. */
export function listenForFiles(onFiles: (files: File[]) => void): void {
  const input = byId<HTMLInputElement>("files");
  input.addEventListener("change", () => {
    onFiles([...(input.files ?? [])]);
    input.value = ""; // the same file may be chosen again
  });

  const zone = byId("drop-zone");
  const mark = (over: boolean) => zone.classList.toggle("over", over);
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(true);
  });
  document.addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) mark(false);
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    onFiles([...(event.dataTransfer?.files ?? [])]);
  });
  document.addEventListener("paste", (event) => {
    onFiles([...(event.clipboardData?.files ?? [])]);
  });
}
