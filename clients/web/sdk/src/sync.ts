// Waiting. A task waits in one place, on its `Wake`; whatever concerns it wakes it and it looks again. That leaves no
// half-finished races behind and needs no cancelling.

/** Woken by others, waited for by one task. Reset it before looking, so that no wake is lost. */
export class Wake {
  #waiting: (() => void) | undefined
  #woken = false

  reset(): void {
    this.#woken = false
  }

  wake(): void {
    this.#woken = true
    this.#waiting?.()
  }

  /** Until the next `wake`, or at most this many milliseconds. */
  async wait(ms?: number): Promise<void> {
    if (this.#woken) return
    let timer: ReturnType<typeof setTimeout> | undefined
    await new Promise<void>((resolve) => {
      this.#waiting = resolve
      if (ms !== undefined) timer = setTimeout(resolve, Math.min(ms, TIMER_MS_MAX))
    })
    this.#waiting = undefined
    clearTimeout(timer)
  }
}

/** Above this a browser's timer fires at once. */
const TIMER_MS_MAX = 2 ** 31 - 1

/** A value that others watch. */
export class State<T> {
  #value: T
  readonly #listeners = new Set<(value: T) => void>()

  constructor(value: T) {
    this.#value = value
  }

  get value(): T {
    return this.#value
  }

  set(value: T): void {
    this.#value = value
    for (const listener of [...this.#listeners]) listener(value)
  }

  /** Calls `listener` at each change; the result ends that. */
  subscribe(listener: (value: T) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Waits until `pick` finds something in the value, or throws. */
  until<R>(pick: (value: T) => R | undefined): Promise<R> {
    return new Promise((resolve, reject) => {
      let stop = () => {}
      const look = (value: T) => {
        try {
          const found = pick(value)
          if (found === undefined) return
          resolve(found)
        } catch (error) {
          reject(error)
        }
        stop()
      }
      stop = this.subscribe(look)
      look(this.#value)
    })
  }
}

/** At most so many at once; the others queue. */
export class Places {
  #free: number
  #taken = 0
  readonly #queue: (() => void)[] = []
  /** How many wait; set when somebody begins to, and whenever a place is given back. */
  readonly waiting = new State(0)

  constructor(count: number) {
    this.#free = count
  }

  get taken(): number {
    return this.#taken
  }

  /** Waits for a place, or until `signal` says not to; the result gives it back. */
  async take(signal?: AbortSignal): Promise<() => void> {
    if (this.#free > 0) this.#free--
    else await this.#line(signal)
    this.#taken++
    let held = true
    return () => {
      if (!held) return
      held = false
      this.#taken--
      const next = this.#queue.shift()
      if (next === undefined) this.#free++
      else next()
      this.waiting.set(this.#queue.length)
    }
  }

  #line(signal: AbortSignal | undefined): Promise<void> {
    return unlessAborted(signal, (resolve) => {
      this.#queue.push(resolve)
      this.waiting.set(this.#queue.length)
      return () => {
        const place = this.#queue.indexOf(resolve)
        if (place >= 0) this.#queue.splice(place, 1)
        this.waiting.set(this.#queue.length)
      }
    })
  }
}

/** Waits so long, or until `isOver`, looking whenever `wake` is woken. */
export async function pause(wake: Wake, ms: number, isOver: () => boolean): Promise<void> {
  const until = performance.now() + ms
  for (;;) {
    wake.reset()
    const left = until - performance.now()
    if (left <= 0 || isOver()) return
    await wake.wait(left)
  }
}

/** Waits so long, or rejects when `signal` aborts. */
export function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return unlessAborted(signal, (resolve) => {
    const timer = setTimeout(resolve, ms)
    return () => clearTimeout(timer)
  })
}

/** A promise, and the two ends of it. */
export interface Deferred<T> {
  promise: Promise<T>
  resolve: (value: T) => void
  reject: (error: unknown) => void
}

export function deferred<T>(): Deferred<T> {
  const made: Partial<Deferred<T>> = {}
  made.promise = new Promise<T>((resolve, reject) => Object.assign(made, { resolve, reject }))
  return made as Deferred<T>
}

/** Calls `listener` once `signal` aborts, also if it has before; the result ends that. */
export function onAbort(signal: AbortSignal | undefined, listener: () => void): () => void {
  if (signal?.aborted) listener()
  signal?.addEventListener('abort', listener, { once: true })
  return () => signal?.removeEventListener('abort', listener)
}

/** A promise that `signal` rejects; what `begin` gives is called when nobody waits any more. */
export function unlessAborted<T>(
  signal: AbortSignal | undefined,
  begin: (resolve: (value: T) => void, reject: (error: unknown) => void) => (() => void) | void,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    signal?.throwIfAborted()
    const settle =
      <V>(how: (value: V) => void) =>
      (value: V) => {
        unlisten()
        stop?.()
        how(value)
      }
    const fail = settle(reject)
    let stop: (() => void) | void
    const unlisten = onAbort(signal, () => fail(reasonOf(signal)))
    stop = begin(settle(resolve), fail)
  })
}

function reasonOf(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason
  return reason instanceof Error ? reason : new DOMException('the call was aborted', 'AbortError')
}

/** `promise`, or `error` after so many milliseconds. */
export async function within<T>(ms: number, promise: Promise<T>, error: () => Error): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(error()), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
