import { readFileSync } from "node:fs";

import { oddFiles, plainPng } from "./odd-files";
import {
  expect,
  expectedAnswers,
  expectedMaps,
  fileOf,
  give,
  imagePath,
  openPage,
  rowOf,
  test,
  waitForAll,
} from "./page";

interface Saved {
  answers: {
    file: string;
    warning?: string;
    probabilities: number[];
    distance: number;
    map_shape: number[];
    maps_float32_base64: string;
  }[];
}

test("answers equal Python's, maps too", async ({ watched: page }) => {
  const expected = expectedAnswers();
  expect(expected.length).toBeGreaterThanOrEqual(20);
  await openPage(page);
  await give(
    page,
    expected.map(({ file }) => imagePath(file)),
  );

  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save with maps" }).click();
  const saved = JSON.parse(readFileSync(await (await download).path(), "utf8")) as Saved;
  expect(saved.answers.map(({ file }) => file)).toEqual(expected.map(({ file }) => file));

  let [worst, worstMap, worstFile] = [0, 0, ""];
  for (const [i, answer] of saved.answers.entries()) {
    const python = expected[i]!;
    const off = largestDifference(answer.probabilities, python.probabilities);
    expect(off, `probabilities of ${answer.file}`).toBeLessThan(1e-3);
    expect(answer.map_shape).toEqual(python.map_shape);
    const maps = expectedMaps(python);
    const bytes = Uint8Array.from(Buffer.from(answer.maps_float32_base64, "base64"));
    const offMap = largestDifference(Array.from(new Float32Array(bytes.buffer)), maps) / peak(maps);
    expect(offMap, `maps of ${answer.file}`).toBeLessThan(2e-2);
    expect(Math.abs(answer.distance / python.distance - 1)).toBeLessThan(1e-2);
    if (off > worst) worstFile = answer.file;
    [worst, worstMap] = [Math.max(worst, off), Math.max(worstMap, offMap)];
  }
  console.log(
    `largest difference: probability ${worst.toExponential(1)} (${worstFile}), ` +
      `map ${worstMap.toExponential(1)} of its peak`,
  );
});

function largestDifference(a: number[], b: number[]): number {
  expect(a.length).toBe(b.length);
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
}

const peak = (values: number[]) =>
  values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);

test("the first answer comes within five seconds of the model being ready", async ({
  watched: page,
}) => {
  const opened = Date.now();
  await openPage(page);
  const start = Date.now();
  await give(page, [imagePath(expectedAnswers()[0]!.file)]);
  const seconds = (Date.now() - start) / 1000;
  const before = ((start - opened) / 1000).toFixed(2);
  console.log(`ready after ${before} s, first answer ${seconds.toFixed(2)} s later`);
  expect(seconds).toBeLessThan(5);
});

test("each odd file has its message, the others their answers", async ({ watched: page }) => {
  const names = expectedAnswers().map(({ file }) => file);
  const jpeg = names.find((name) => name.endsWith(".jpg")) ?? names[0]!;
  const png = names.find((name) => name.endsWith(".png"))!;
  const odd = await oddFiles(imagePath(jpeg), imagePath(png));
  const good = { name: "good.png", mimeType: "", buffer: readFileSync(imagePath(png)) };
  await openPage(page);
  await give(page, [...odd.map(([file]) => file), good]);
  for (const [file, words] of odd) await expect(rowOf(page, file.name)).toContainText(words);
  await expect(rowOf(page, "good.png").getByRole("button")).toBeVisible();
  await expect(page.locator("#work-text")).toContainText(`${odd.length} could not be read`);

  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save as CSV" }).click();
  const lines = readFileSync(await (await download).path(), "utf8")
    .trimEnd()
    .split("\r\n");
  expect(lines.length).toBe(odd.length + 2);
  expect(lines[0]).toMatch(
    /^file,series,answer,p_.*,distance,out_of_distribution,low_confidence,warning,not_ruled_out,error,model$/,
  );
  expect(lines.some((line) => line.startsWith("'=sum(a1).tif,"))).toBe(true);
});

test("a picture that may be no slice is answered with a warning", async ({ watched: page }) => {
  const words = "this is a localizer, not a slice";
  await openPage(page);
  await give(page, [fileOf("a localizer", "localizer.dcm"), fileOf("plain", "slice.dcm")]);
  await expect(rowOf(page, "localizer.dcm")).toContainText("doubtful picture");
  await expect(rowOf(page, "slice.dcm")).not.toContainText("doubtful picture");
  await rowOf(page, "localizer.dcm").getByRole("button").click();
  const warnings = page.locator("#warnings li");
  await expect(warnings.first()).toHaveText(
    `Doubtful picture: ${words}. Do not rely on the answer.`,
  );
  const saved = async (button: string) => {
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: button }).click();
    return readFileSync(await (await download).path(), "utf8");
  };
  const { answers } = JSON.parse(await saved("Save with maps")) as Saved;
  expect(answers.map(({ warning }) => warning)).toEqual([words, undefined]);
  const [, localizer, slice] = (await saved("Save as CSV")).split("\r\n");
  expect(localizer).toContain(`,"${words}",`);
  expect(slice).not.toContain(words);
});

test("two hundred files at once; stopping leaves the rest unread", async ({ watched: page }) => {
  test.setTimeout(900_000);
  const files = Array.from({ length: 200 }, (_, i) => ({
    name: i % 10 === 9 ? `${i}-words.png` : `${i}.png`,
    mimeType: "image/png",
    buffer: i % 10 === 9 ? Buffer.from("words") : plainPng(64, i),
  }));
  await openPage(page);
  await give(page, files, 800_000);
  await expect(page.locator("#rows tr")).toHaveCount(200);
  await expect(page.locator('#rows tr[data-state="answered"]')).toHaveCount(180);
  await expect(page.locator('#rows tr[data-state="failed"]')).toHaveCount(20);

  await page.getByRole("button", { name: "Remove all" }).click();
  await page.getByLabel("Choose pictures").setInputFiles(files);
  await page.getByRole("button", { name: "Stop" }).click();
  await waitForAll(page, 200);
  await expect(rowOf(page, "198.png")).toContainText("stopped");
});
