import { TellableError } from "../errors";
import { parseBundle, type Bundle } from "./bundle";
import { fetchJson, HttpError } from "./cache";

/** A model that the page offers. */
export interface Offer {
  name: string;
  path: string;
  bundle: Bundle;
}

const FOLDER = "models";
const NO_MODELS =
  "There is no model in this page's folder yet. Make one with the command " +
  "kidneyct export --study phantom, then build the page again.";

/** All models of the page's folder, those fitted on all patients first. */
export async function loadOffers(): Promise<Offer[]> {
  const list = await loadList();
  const offers = await Promise.all(
    list.map(async ({ name, path }) => ({
      name,
      path: `${FOLDER}/${path}`,
      bundle: parseBundle(await loadJson(`${FOLDER}/${path}/bundle.json`), name),
    })),
  );
  return offers.sort((a, b) => rank(a) - rank(b));
}

const rank = ({ bundle }: Offer) => ["final", "patient", "slice"].indexOf(bundle.scheme);

async function loadList(): Promise<{ name: string; path: string }[]> {
  let list: unknown;
  try {
    list = await loadJson(`${FOLDER}/index.json`);
  } catch (error) {
    if (error instanceof HttpError && error.status === 404) throw new TellableError(NO_MODELS);
    throw error;
  }
  if (!Array.isArray(list) || list.length === 0) throw new TellableError(NO_MODELS);
  return list as { name: string; path: string }[];
}

async function loadJson(path: string): Promise<unknown> {
  try {
    return await fetchJson(path);
  } catch (error) {
    if (error instanceof HttpError) throw error;
    const damaged = error instanceof SyntaxError;
    throw new TellableError(
      damaged
        ? `The file ${path} of this page is damaged; build the page again.`
        : "The page's host can't be reached, and no model is kept from an earlier visit.",
    );
  }
}
