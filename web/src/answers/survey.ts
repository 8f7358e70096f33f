import type { Place } from "../decode/place";
import type { Item } from "./item";
import { comparePaths } from "./natural";
import { isHidden, isOfSeries } from "./series";

/** A file as the page is given it. */
export interface Given {
  file: File;
  /** Its path from the folder that was given, which is the first part; "" of a loose file. */
  path: string;
}

const AT_ONCE = 16; // files whose starts are in memory together

/** Makes items of the files that were given: what they are, and which series they are of. */
export class Survey {
  private lastId = 0;
  private given = 0;
  private abandoned = 0; // those up to this one are of no interest any more

  constructor(private readonly placeOf: (file: Blob) => Promise<Place>) {}

  /** Give up what is under way. */
  abandon(): void {
    this.abandoned = this.given;
  }

  /** Hidden files of a folder and those that are no images are passed over; null if given up. */
  async look(given: Given[]): Promise<Item[] | null> {
    const number = ++this.given;
    const seen = given.filter(({ path }) => !isHidden(path));
    const files = [
      ...seen.filter(({ path }) => path).sort((a, b) => comparePaths(a.path, b.path)),
      ...seen.filter(({ path }) => !path),
    ];
    const items: Item[] = [];
    for (let start = 0; start < files.length; start += AT_ONCE) {
      const some = files.slice(start, start + AT_ONCE);
      const places = await Promise.all(some.map(({ file }) => this.known(file)));
      if (number <= this.abandoned) return null;
      for (const [i, { file, path }] of some.entries()) {
        const { isImage, uid, position } = places[i]!;
        if (path && !isOfSeries(path, isImage)) continue;
        const id = ++this.lastId;
        // two folders of one name, given one after the other, are two
        const folder = path && `${number} ${path.slice(0, path.lastIndexOf("/"))}`;
        const name = path || file.name || `pasted ${id}`;
        items.push({ id, name, file, place: { uid, position, folder }, state: "waiting" });
      }
    }
    return items;
  }

  /** What hinders the reading of a file is told when it is to be answered. */
  private known(file: File): Promise<Place> {
    return this.placeOf(file).catch(() => ({ isImage: true, uid: "", position: 0 }));
  }
}
