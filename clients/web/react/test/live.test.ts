import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Live } from '../src/live.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

it('goes on for who looks away and back at once, and ends for who does not', () => {
  const signals: AbortSignal[] = []
  const live = new Live(0, (_, signal) => void signals.push(signal))
  const look = () => live.subscribe(() => {})
  // As StrictMode mounts: twice, and the first one is taken back.
  look()()
  const stop = look()
  vi.runAllTimers()
  expect(signals.map(({ aborted }) => aborted)).toEqual([false])
  const another = look()
  stop()
  vi.runAllTimers()
  expect(signals.map(({ aborted }) => aborted)).toEqual([false])
  another()
  vi.runAllTimers()
  expect(signals.map(({ aborted }) => aborted)).toEqual([true])
  look()
  expect(signals).toHaveLength(2)
})

it('tells every listener of another value, and takes none that comes too late', () => {
  let late: (value: number) => void = () => {}
  const live = new Live(0, (set) => void (late = set))
  const seen: number[] = []
  const listener = () => void seen.push(live.get())
  const stops = [live.subscribe(listener), live.subscribe(listener)]
  late(1)
  late(1)
  expect(seen).toEqual([1, 1])
  for (const stop of stops) stop()
  vi.runAllTimers()
  late(2)
  expect(live.get()).toBe(1)
})
