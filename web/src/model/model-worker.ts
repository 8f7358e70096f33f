import * as ort from "onnxruntime-web/wasm";
import runtimeModule from "onnxruntime-web/ort-wasm-simd-threaded.mjs?url";
import runtimeBinary from "onnxruntime-web/ort-wasm-simd-threaded.wasm?url";

import type { Pixels } from "../decode/pixels";
import { answerCalls, type Moved } from "../workers";

/** The outputs of the graph for one picture. */
export interface Outputs {
  /** Calibrated, one per class. */
  probabilities: number[];
  /** Height x width x class; above 0 speaks for the class. */
  maps: Float32Array;
  mapShape: [number, number, number];
  /** How strange the picture is. */
  distance: number;
}

const THREADS = 2;

let session: ort.InferenceSession;

async function load(model: ArrayBuffer): Promise<Moved<void>> {
  const here = (path: string) => new URL(path, import.meta.url).href;
  ort.env.wasm.wasmPaths = { mjs: here(runtimeModule), wasm: here(runtimeBinary) };
  ort.env.wasm.numThreads = self.crossOriginIsolated
    ? Math.min(THREADS, navigator.hardwareConcurrency)
    : 1;
  session = await ort.InferenceSession.create(model, {
    executionProviders: ["wasm"],
    logSeverityLevel: 3,
  });
  return { value: undefined, transfer: [] };
}

async function run({ rgb, height, width }: Pixels): Promise<Moved<Outputs>> {
  const pixels = new ort.Tensor("uint8", rgb, [1, height, width, 3]);
  const { probabilities, maps, distance } = await session.run({ pixels });
  const values = (maps!.data as Float32Array).slice();
  const value: Outputs = {
    probabilities: Array.from(probabilities!.data as Float32Array),
    maps: values,
    mapShape: maps!.dims.slice(1) as [number, number, number],
    distance: (distance!.data as Float32Array)[0]!,
  };
  return { value, transfer: [values.buffer] };
}

answerCalls({ load, run });
