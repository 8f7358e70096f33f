import type { Given } from "../answers/survey";
import { byId } from "./dom";

/** Files and folders that are chosen, dropped anywhere on the page, or pasted. */
export function listenForFiles(onFiles: (files: Given[], ofFolder: boolean) => void): void {
  for (const input of [byId<HTMLInputElement>("files"), byId<HTMLInputElement>("folder")]) {
    input.addEventListener("change", () => {
      const files = [...(input.files ?? [])];
      const given = files.map((file) => ({ file, path: file.webkitRelativePath }));
      onFiles(given, input.webkitdirectory);
      input.value = ""; // the same file may be chosen again
    });
  }
  // On some phones there are no folders to choose.
  if (!("webkitdirectory" in HTMLInputElement.prototype)) byId("folder").parentElement!.remove();

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
    const entries = entriesIn(event.dataTransfer);
    const ofFolder = entries.some((entry) => entry.isDirectory);
    if (ofFolder) void allBelow(entries).then((files) => onFiles(files, true));
    else onFiles(loose(event.dataTransfer), false);
  });
  document.addEventListener("paste", (event) => {
    onFiles(loose(event.clipboardData), false);
  });
}

const loose = (data: DataTransfer | null): Given[] =>
  [...(data?.files ?? [])].map((file) => ({ file, path: "" }));

/** What was dropped; the transfer can be asked only while its event is handled. */
const entriesIn = (data: DataTransfer | null): FileSystemEntry[] =>
  [...(data?.items ?? [])].flatMap((item) => item.webkitGetAsEntry?.() ?? []);

async function allBelow(entries: FileSystemEntry[]): Promise<Given[]> {
  const found: Given[] = [];
  for (const entry of entries) {
    found.push(...(await below(entry, entry.isDirectory ? entry.name : "")));
  }
  return found;
}

/** The files of an entry; those that can't be read are given as empty files, which say so. */
async function below(entry: FileSystemEntry, path: string): Promise<Given[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve) =>
      (entry as FileSystemFileEntry).file(resolve, () => resolve(new File([], entry.name))),
    );
    return [{ file, path }];
  }
  const found: Given[] = [];
  for (const child of await entriesOf(entry as FileSystemDirectoryEntry)) {
    found.push(...(await below(child, `${path}/${child.name}`)));
  }
  return found;
}

/** All entries of a folder: the browser gives a hundred at a time. */
async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const found: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve) =>
      reader.readEntries(resolve, () => resolve([])),
    );
    if (some.length === 0) return found;
    found.push(...some);
  }
}
