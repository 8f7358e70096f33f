/** What is used of packages that describe no types. */

interface NativeDecoder {
  getEncodedBuffer(length: number): Uint8Array;
  decode(): void;
  getDecodedBuffer(): Uint8Array;
  getFrameInfo(): {
    width: number;
    height: number;
    bitsPerSample: number;
    componentCount: number;
    isSigned?: boolean;
  };
  delete(): void;
}

interface NativeOptions {
  wasmBinary: ArrayBuffer;
  print(text: string): void;
  printErr(text: string): void;
}

declare module "@cornerstonejs/codec-charls/decodewasmjs" {
  export default function create(
    options: NativeOptions,
  ): Promise<{ JpegLSDecoder: new () => NativeDecoder }>;
}

declare module "@cornerstonejs/codec-openjpeg/decodewasmjs" {
  export default function create(
    options: NativeOptions,
  ): Promise<{ J2KDecoder: new () => NativeDecoder }>;
}
