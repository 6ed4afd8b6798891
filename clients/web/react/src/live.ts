// A value that is kept up to date while somebody looks at it: what `useSyncExternalStore` wants.

/** Starts to keep it up to date; `signal` ends that. */
export type Start<S> = (set: (value: S) => void, signal: AbortSignal) => void

export class Live<S> {
  readonly #start: Start<S>
  readonly #listeners = new Set<() => void>()
  #value: S
  #running: AbortController | undefined
  #ending: ReturnType<typeof setTimeout> | undefined

  constructor(initial: S, start: Start<S>) {
    this.#value = initial
    this.#start = start
  }

  /** The same value until it changes. */
  readonly get = (): S => this.#value

  /** Looks at it; the result ends that. */
  readonly subscribe = (listener: () => void): (() => void) => {
    // React may call with one function for several components.
    const own = () => listener()
    this.#listeners.add(own)
    clearTimeout(this.#ending)
    if (this.#running === undefined) this.#run()
    return () => {
      this.#listeners.delete(own)
      clearTimeout(this.#ending)
      // StrictMode, and a list that is mounted anew, look again at once: nothing is left for that.
      if (this.#listeners.size === 0) this.#ending = setTimeout(() => this.#end(), 0)
    }
  }

  readonly set = (value: S): void => {
    if (Object.is(value, this.#value)) return
    this.#value = value
    for (const listener of this.#listeners) listener()
  }

  #run(): void {
    this.#running = new AbortController()
    const { signal } = this.#running
    this.#start((value) => {
      if (!signal.aborted) this.set(value)
    }, signal)
  }

  #end(): void {
    this.#running?.abort()
    this.#running = undefined
  }
}
