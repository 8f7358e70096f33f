/** A problem that the visitor can mend: the message says what is wrong and what to do. */
export class TellableError extends Error {
  override name = "TellableError";
}

/** The sentence to show for anything that was thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof Error) return error.message || error.name;
  return String(error);
}
