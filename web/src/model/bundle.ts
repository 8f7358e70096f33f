import { TellableError } from "../errors";

/** What an export says about its model: `bundle.json`, format 1. */
export interface Bundle {
  study: string;
  scheme: string;
  recipe: string;
  backbone: string;
  weights: string;
  classes: string[];
  operating_points: OperatingPoints;
  metrics: Partial<Record<"slice" | "patient" | "other_window", Metrics>>;
  /** Of one vote per new patient; older exports have none. */
  votes?: Partial<Record<"patient" | "other_window", Metrics>>;
  files: Record<string, FileFacts>;
  intended_use: string;
}

export interface OperatingPoints {
  /** A picture whose distance is above it is out of distribution. */
  distance: number | null;
  /** An answer whose highest probability is below it has low confidence. */
  confidence: number | null;
  /** Probability from which a class must not be missed, and the recall it was chosen for. */
  recall: Record<string, { target_recall: number; threshold: number }>;
}

export interface Metrics {
  n: number;
  groups: number;
  accuracy: number;
  accuracy_ci95: [number, number];
  recall?: Record<string, number>;
}

export interface FileFacts {
  bytes: number;
  sha256: string;
}

const FORMAT = 1;
const MODEL_FILES = ["model-int8.onnx", "model-float32.onnx"];

/** Check a parsed `bundle.json`; says what is missing. */
export function parseBundle(raw: unknown, path: string): Bundle {
  const bundle = raw as Bundle & { format?: number };
  if (bundle?.format !== FORMAT) {
    throw damaged(path, `its format is ${String(bundle?.format)}, not ${FORMAT}`);
  }
  const { classes, files, metrics } = bundle;
  if (!Array.isArray(classes) || classes.length < 2) throw damaged(path, "it names no classes");
  if (!files || !modelFileOf(bundle)) throw damaged(path, "it names no ONNX file");
  if (!metrics) throw damaged(path, "it holds no metrics");
  const points = bundle.operating_points ?? {};
  return {
    ...bundle,
    operating_points: {
      distance: points.distance ?? null,
      confidence: points.confidence ?? null,
      recall: points.recall ?? {},
    },
  };
}

function damaged(path: string, what: string): TellableError {
  return new TellableError(
    `The description of the model “${path}” can't be used (${what}); export it anew with ` +
      "kidneyct export, then build the page again.",
  );
}

/** The ONNX file to run: int8 where there is one. */
export function modelFileOf(bundle: Pick<Bundle, "files">): string | undefined {
  return MODEL_FILES.find((name) => bundle.files[name] !== undefined);
}
