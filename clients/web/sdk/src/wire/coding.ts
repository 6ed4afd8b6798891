// Bytes and values: varints, and codecs for the types of PROTOCOL.md section 3. A codec is a pair of functions; frames
// are put together from them, and their TypeScript types are inferred.

import { Code } from './code.ts'
import { LIST_LENGTH_MAX, TEXT_BYTES_MAX } from './limits.ts'

/** Bytes that are not what the protocol allows, with the code that a peer would be told. */
export class DecodeError extends Error {
  readonly code: number

  constructor(message: string, code: number = Code.bad_frame) {
    super(message)
    this.name = 'DecodeError'
    this.code = code
  }
}

/** How a value is written and read. `read` throws a `DecodeError`; `write` a `RangeError`, for that is the caller's. */
export interface Codec<T> {
  write(out: Writer, value: T): void
  read(input: Reader): T
}

export type Value<C> = C extends Codec<infer T> ? T : never

/** Grows as it is written to. */
export class Writer {
  #bytes = new Uint8Array(64)
  #length = 0

  byte(value: number): void {
    this.#reserve(1)
    this.#bytes[this.#length++] = value
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
  }

  varint(value: number): void {
    checkUnsigned(value)
    if (value <= 250) return this.byte(value)
    const [first, size] = value < 2 ** 16 ? [251, 2] : value < 2 ** 32 ? [252, 4] : [253, 8]
    this.byte(first)
    for (let index = 0, rest = value; index < size; index++, rest = Math.floor(rest / 256)) this.byte(rest % 256)
  }

  get length(): number {
    return this.#length
  }

  /** A view of what was written; valid until the next write. */
  bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length)
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return
    const grown = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length + more))
    grown.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = grown
  }
}

/** Reads one body. What is left behind the last field is ignored. */
export class Reader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  byte(): number {
    return this.take(1)[0] as number
  }

  /** A view, not a copy. */
  take(length: number): Uint8Array {
    if (length > this.left) throw new DecodeError(SHORT)
    const start = this.#at
    this.#at += length
    return this.#bytes.subarray(start, this.#at)
  }

  varint(): number {
    const found = splitVarint(this.#bytes, this.#at)
    if (found === undefined) throw new DecodeError(SHORT)
    this.#at = found.end
    return found.value
  }
}

/** Reads a varint at `at`; `undefined` if it is not whole. A form that no more bytes can mend is rejected at once. */
export function splitVarint(bytes: Uint8Array, at: number): { value: number; end: number } | undefined {
  const first = bytes[at]
  if (first === undefined) return undefined
  if (first <= 250) return { value: first, end: at + 1 }
  if (first > 253) throw new DecodeError(MALFORMED)
  const size = first === 251 ? 2 : first === 252 ? 4 : 8
  const end = at + 1 + size
  if (end > bytes.length) return undefined
  let value = 0
  for (let index = end - 1; index > at; index--) value = value * 256 + (bytes[index] as number)
  if (value > Number.MAX_SAFE_INTEGER) throw new DecodeError(MALFORMED)
  if (value < (size === 2 ? 251 : size === 4 ? 2 ** 16 : 2 ** 32)) throw new DecodeError(MALFORMED)
  return { value, end }
}

function unsigned(below: number): Codec<number> {
  return {
    write: (out, value) => out.varint(atMost(below - 1, value, RangeError)),
    read: (input) => atMost(below - 1, input.varint(), DecodeError),
  }
}

export const u16 = unsigned(2 ** 16)
export const u32 = unsigned(2 ** 32)
export const u64 = unsigned(2 ** 53)

export const u8: Codec<number> = {
  write: (out, value) => {
    checkUnsigned(value)
    out.byte(atMost(255, value, RangeError))
  },
  read: (input) => input.byte(),
}

export const bool: Codec<boolean> = {
  write: (out, value) => out.byte(value ? 1 : 0),
  read: flag,
}

/** Bytes as they are, as lower-case hexadecimal: ids compare, print and go into JSON. */
export function raw(length: number): Codec<string> {
  return {
    write: (out, value) => {
      const bytes = fromHex(value)
      if (bytes.length !== length) throw new RangeError(`"${value}" is not ${length} bytes in hexadecimal`)
      out.raw(bytes)
    },
    read: (input) => toHex(input.take(length)),
  }
}

export const id = raw(16)
export const tag = raw(4)

export const bytes: Codec<Uint8Array> = {
  write: (out, value) => {
    out.varint(value.length)
    out.raw(value)
  },
  read: (input) => input.take(length(input)).slice(),
}

export function text(max: number = TEXT_BYTES_MAX): Codec<string> {
  return {
    write: (out, value) => {
      const encoded = UTF8.encode(value)
      atMost(max, encoded.length, RangeError)
      bytes.write(out, encoded)
    },
    read: (input) => utf8(input.take(atMost(max, length(input), DecodeError))),
  }
}

export function option<T>(inner: Codec<T>): Codec<T | null> {
  return {
    write: (out, value) => {
      out.byte(value === null ? 0 : 1)
      if (value !== null) inner.write(out, value)
    },
    read: (input) => (flag(input) ? inner.read(input) : null),
  }
}

export function list<T>(inner: Codec<T>, max: number = LIST_LENGTH_MAX): Codec<T[]> {
  return {
    write: (out, values) => {
      out.varint(atMost(max, values.length, RangeError))
      for (const value of values) inner.write(out, value)
    },
    read: (input) => {
      const count = atMost(max, length(input), DecodeError)
      return Array.from({ length: count }, () => inner.read(input))
    },
  }
}

// A codec is neither wider nor narrower than one of another type, so "any codec" cannot be said in another way.
// oxlint-disable-next-line no-explicit-any
type Fields = Record<string, Codec<any>>
type Struct<F> = { [K in keyof F]: Value<F[K]> }

/** Fields, one after the other in the order written here. */
export function struct<F extends Fields>(fields: F): Codec<Struct<F>> {
  const entries = Object.entries(fields)
  return {
    write: (out, value) => {
      for (const [name, field] of entries) field.write(out, value[name as keyof F])
    },
    read: (input) => {
      const value: Record<string, unknown> = {}
      for (const [name, field] of entries) value[name] = field.read(input)
      return value as Struct<F>
    },
  }
}

/** Variants without fields. */
export function choice<const N extends string>(...names: N[]): Codec<N> {
  return {
    write: (out, value) => out.varint(names.indexOf(value)),
    read: (input) => listed(names, input.varint()),
  }
}

/** Variants with fields; the name of the variant is in `type`. */
export function variants<V extends { [K in keyof V]: Codec<object> }>(
  all: V,
): Codec<{ [K in keyof V]: { type: K } & Value<V[K]> }[keyof V]> {
  type Any = { [K in keyof V]: { type: K } & Value<V[K]> }[keyof V]
  const names = Object.keys(all) as (keyof V)[]
  return {
    write: (out, value: Any) => {
      out.varint(names.indexOf(value.type))
      all[value.type].write(out, value)
    },
    read: (input) => {
      const type = listed(names, input.varint())
      return { type, ...all[type].read(input) } as Any
    },
  }
}

function listed<T>(all: T[], index: number): T {
  const found = all[index]
  if (found === undefined) throw new DecodeError(`variant ${index} is not listed`)
  return found
}

function flag(input: Reader): boolean {
  const value = input.byte()
  if (value > 1) throw new DecodeError(`${value} is neither 0 nor 1`)
  return value === 1
}

/** A length or a count: an entry has at least a byte, so neither is larger than what is left. */
function length(input: Reader): number {
  const value = input.varint()
  if (value > input.left) throw new DecodeError(SHORT)
  return value
}

function utf8(from: Uint8Array): string {
  try {
    return STRICT_UTF8.decode(from)
  } catch {
    throw new DecodeError('a text is not UTF-8')
  }
}

export function toHex(from: Uint8Array): string {
  let out = ''
  for (const byte of from) out += byte.toString(16).padStart(2, '0')
  return out
}

/** `RangeError` for anything that is not pairs of hexadecimal digits. */
export function fromHex(from: string): Uint8Array<ArrayBuffer> {
  if (!/^([0-9a-f]{2})*$/i.test(from)) throw new RangeError(`"${from}" is not hexadecimal`)
  return Uint8Array.from({ length: from.length / 2 }, (_, index) => {
    return Number.parseInt(from.slice(2 * index, 2 * index + 2), 16)
  })
}

function checkUnsigned(value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is not a number of the protocol`)
}

/** The value, or an error of whoever has got it wrong. */
function atMost(max: number, value: number, Failure: new (message: string) => Error): number {
  if (value > max) throw new Failure(`${value} is more than ${max}, the maximum`)
  return value
}

const SHORT = 'the body ends before its last field does'
const MALFORMED = 'a number begins with a reserved byte, is not in its shortest form, or is 2^53 or more'

const UTF8 = new TextEncoder()
const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
