/** The order of file names that people expect, as `kidneyct_lib.data.image_folder.natural_key`. */

/** Compare names with the numbers in them by value: "a (2)" before "a (10)". */
export function compareNames(a: string, b: string): number {
  const [left, right] = [partsOf(a), partsOf(b)]; // text and digits take turns
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order = compareTexts(left[i]!, right[i]!);
    if (order) return order;
  }
  return left.length - right.length || compareTexts(a, b);
}

/** Compare paths as a walk through folders meets them: a folder's own files come first. */
export function comparePaths(a: string, b: string): number {
  const [left, right] = [a.split("/"), b.split("/")];
  let i = 0;
  while (i < left.length - 1 && i < right.length - 1 && left[i] === right[i]) i++;
  const [fileLeft, fileRight] = [i === left.length - 1, i === right.length - 1];
  if (fileLeft !== fileRight) return fileLeft ? -1 : 1;
  return compareNames(left[i]!, right[i]!);
}

/** Digits are brought to one length, so that their texts stand in the order of their values. */
function partsOf(name: string): string[] {
  return name.split(/([0-9]+)/).map((part, i) => (i % 2 ? padded(part) : part.toLowerCase()));
}

function padded(digits: string): string {
  const value = digits.replace(/^0+(?=.)/, "");
  return String(value.length).padStart(3, "0") + value; // no file name has 1000 letters
}

const compareTexts = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
