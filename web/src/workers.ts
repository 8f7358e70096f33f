/** Calls into a worker, answered by promises. */

import { TellableError, messageOf } from "./errors";

interface Call {
  id: number;
  method: string;
  argument: unknown;
}

interface Reply {
  id: number;
  value?: unknown;
  error?: { message: string; tellable: boolean };
}

/** A value, and the buffers of it that move to the other side instead of being copied. */
export interface Moved<T> {
  value: T;
  transfer: Transferable[];
}

export type Handlers = Record<string, (argument: never) => Promise<Moved<unknown>>>;

/** Answer calls inside a worker. */
export function answerCalls(handlers: Handlers): void {
  const scope = self as unknown as DedicatedWorkerGlobalScope;
  scope.onmessage = async ({ data }: MessageEvent<Call>) => {
    const { id, method, argument } = data;
    try {
      const { value, transfer } = await handlers[method]!(argument as never);
      scope.postMessage({ id, value } satisfies Reply, transfer);
    } catch (error) {
      const tellable = error instanceof TellableError;
      scope.postMessage({ id, error: { message: messageOf(error), tellable } } satisfies Reply);
    }
  };
}

interface Waiting {
  resolve: (value: never) => void;
  reject: (error: Error) => void;
}

/** A worker, seen from the page. */
export class WorkerClient {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Waiting>();
  private lastId = 0;

  constructor(url: string) {
    // A worker made from a blob inherits the page's Content-Security-Policy on any host; one made
    // from its address would have only the policy of the host's headers, which may be none.
    const script = `import ${JSON.stringify(new URL(url, location.href).href)};`;
    const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
    this.worker = new Worker(address, { type: "module" });
    this.worker.onmessage = ({ data }: MessageEvent<Reply>) => this.settle(data);
    this.worker.onerror = (event) => {
      this.failAll(new Error(event.message || "a part of the page did not load; reload the page"));
    };
  }

  call<T>(method: string, argument: unknown, transfer: Transferable[] = []): Promise<T> {
    const id = ++this.lastId;
    return new Promise<T>((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ id, method, argument } satisfies Call, transfer);
    });
  }

  /** End the worker; calls under way are refused. */
  close(): void {
    this.worker.terminate();
    this.failAll(new Error("stopped"));
  }

  private settle({ id, value, error }: Reply): void {
    const waiting = this.waiting.get(id);
    this.waiting.delete(id);
    if (!error) waiting?.resolve(value as never);
    else waiting?.reject(new (error.tellable ? TellableError : Error)(error.message));
  }

  private failAll(error: Error): void {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}
