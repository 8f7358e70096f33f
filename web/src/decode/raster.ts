import { TellableError } from "../errors";
import { jpegHeader, pngHeader, pngIsComplete, pngPictures } from "./header";
import { checkSize, grayToRgb, rgbaToRgb, scaleUnsigned, type Pixels } from "./pixels";
import { decodeGray16 } from "./png16";

const GRAY = 0;

export async function decodePng(data: Uint8Array): Promise<Pixels> {
  const header = pngHeader(data);
  if (header) checkSize(header.width, header.height);
  if (!header || !pngIsComplete(data)) {
    throw new TellableError("The PNG image is cut short; copy or export it again.");
  }
  const pictures = pngPictures(data);
  if (pictures > 1) {
    throw new TellableError(`The PNG file holds ${pictures} pages; save one file per slice.`);
  }
  if (header.bitDepth === 16 && header.colorType === GRAY) {
    const gray = scaleUnsigned(await decodeGray16(data, header));
    return { width: header.width, height: header.height, rgb: grayToRgb(gray), warning: "" };
  }
  return byBrowser(data, "image/png");
}

export async function decodeJpeg(data: Uint8Array): Promise<Pixels> {
  const header = jpegHeader(data);
  if (header) checkSize(header.width, header.height);
  if (!header?.complete) {
    throw new TellableError("The JPEG image is cut short; copy or export it again.");
  }
  if (header.channels === 4) {
    throw new TellableError("JPEG of four inks (CMYK) is not read here; save it as RGB or gray.");
  }
  return byBrowser(data, "image/jpeg");
}

/** The browser's decoder: no colour management, the EXIF turn obeyed, transparency on black. */
async function byBrowser(data: Uint8Array, type: string): Promise<Pixels> {
  const bitmap = await createImageBitmap(new Blob([data as BlobPart], { type }), {
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
    imageOrientation: "from-image",
  });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d", {
    alpha: false, // an opaque black canvas
    willReadFrequently: true, // kept in memory, where what was drawn is read back exactly
  })!;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgb = rgbaToRgb(context.getImageData(0, 0, width, height).data);
  return { width, height, rgb, warning: "" };
}
