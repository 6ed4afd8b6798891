// Frames: `length kind body`. The table is that of PROTOCOL.md section 5.

import { Code } from './code.ts'
import { type Codec, DecodeError, Reader, splitVarint, type Value, Writer } from './coding.ts'
import * as control from './control.ts'
import * as join from './join.ts'
import {
  LIST_FRAME_BODY_MAX as LIST,
  PAYLOAD_FRAME_BODY_MAX as PAYLOAD,
  SMALL_FRAME_BODY_MAX as SMALL,
  UNKNOWN_FRAME_BODY_MAX,
} from './limits.ts'
import * as publish from './publish.ts'
import * as read from './read.ts'
import * as record from './record.ts'
import * as who from './who.ts'

interface Kind<T> {
  kind: number
  max: number
  body: Codec<T>
}

const kind = <T>(kind: number, max: number, body: Codec<T>): Kind<T> => ({ kind, max, body })

export const FRAMES = {
  Hello: kind(0x01, LIST, control.hello),
  Welcome: kind(0x02, LIST, control.welcome),
  Refused: kind(0x03, SMALL, control.refused),
  Refresh: kind(0x04, LIST, control.refresh),
  Refreshed: kind(0x05, SMALL, control.refreshed),
  Expiring: kind(0x06, SMALL, control.expiring),
  Ping: kind(0x07, SMALL, control.ping),
  Pong: kind(0x08, SMALL, control.pong),
  Peek: kind(0x09, LIST, control.peek),
  Peeked: kind(0x0a, LIST, control.peeked),
  Marked: kind(0x0b, SMALL, control.marked),
  Goaway: kind(0x0c, LIST, control.goaway),
  Closing: kind(0x0d, SMALL, control.closing),
  Join: kind(0x10, SMALL, join.join),
  Joined: kind(0x11, SMALL, join.joined),
  Record: kind(0x12, PAYLOAD, record.record),
  Gap: kind(0x13, SMALL, join.gap),
  Reset: kind(0x14, SMALL, join.reset),
  CaughtUp: kind(0x15, SMALL, join.caughtUp),
  Ephemeral: kind(0x16, SMALL, join.ephemeral),
  Presence: kind(0x17, LIST, join.presence),
  Left: kind(0x18, SMALL, join.left),
  Credit: kind(0x19, SMALL, join.credit),
  Mark: kind(0x1a, SMALL, join.mark),
  Watch: kind(0x20, LIST, read.watch),
  Head: kind(0x21, SMALL, read.head),
  Open: kind(0x30, SMALL, publish.open),
  Opened: kind(0x31, SMALL, publish.opened),
  Publish: kind(0x32, PAYLOAD, record.publish),
  Ack: kind(0x33, SMALL, publish.ack),
  AckRun: kind(0x34, SMALL, publish.ackRun),
  Nack: kind(0x35, SMALL, publish.nack),
  Read: kind(0x40, SMALL, read.read),
  ReadHead: kind(0x41, SMALL, read.readHead),
  ReadEnd: kind(0x42, SMALL, read.readEnd),
  Who: kind(0x50, SMALL, who.who),
  Members: kind(0x51, LIST, who.members),
} as const

export type FrameName = keyof typeof FRAMES
export type Body<N extends FrameName> = Value<(typeof FRAMES)[N]['body']>

/** Any frame; `name` tells which. `size` is what it took on the wire, header included. */
export type Frame = { [N in FrameName]: { name: N; body: Body<N>; size: number } }[FrameName]

/** A frame as bytes. `RangeError` if the body is not one of the protocol. */
export function encode<N extends FrameName>(name: N, value: Body<N>): Uint8Array<ArrayBuffer> {
  const frame = FRAMES[name]
  const body = new Writer()
  ;(frame.body as Codec<Body<N>>).write(body, value)
  if (body.length > frame.max) throw new RangeError(tooLarge(body.length, frame.max).message)
  const out = new Writer()
  out.varint(body.length)
  out.varint(frame.kind)
  out.raw(body.bytes())
  return out.bytes()
}

/** Reads an ephemeral's datagram. */
export function decodeDatagram(datagram: Uint8Array): join.Ephemeral {
  return join.ephemeral.read(new Reader(datagram))
}

/** The body of an ephemeral alone, as a datagram. */
export function encodeDatagram(ephemeral: join.Ephemeral): Uint8Array<ArrayBuffer> {
  const out = new Writer()
  join.ephemeral.write(out, ephemeral)
  return out.bytes()
}

/**
 * Cuts a stream of bytes, which come in any pieces, into frames. Holds at most one incomplete frame once all whole ones
 * have been taken. Lengths are checked before anything is kept for the body; unknown kinds are skipped.
 */
export class Decoder {
  #buffer = new Uint8Array(0)
  #start = 0
  #end = 0

  push(piece: Uint8Array): void {
    const held = this.#end - this.#start
    if (this.#end + piece.length > this.#buffer.length) {
      // What has been taken is given up; growing doubles, so that many small pieces are not copied again and again.
      const fits = held + piece.length <= this.#buffer.length
      const target = fits ? this.#buffer : new Uint8Array(Math.max(2 * held, held + piece.length))
      target.set(this.#buffer.subarray(this.#start, this.#end))
      this.#buffer = target
      this.#start = 0
      this.#end = held
    }
    this.#buffer.set(piece, this.#end)
    this.#end += piece.length
  }

  /** The next whole frame. Throws a `DecodeError`; the stream cannot be read on then. */
  next(): Frame | undefined {
    for (;;) {
      const held = this.#buffer.subarray(this.#start, this.#end)
      const header = splitHeader(held)
      if (header === undefined || header.end > held.length) return undefined
      this.#start += header.end
      const name = NAMES.get(header.kind)
      if (name === undefined) continue
      const body = FRAMES[name].body.read(new Reader(held.subarray(header.start, header.end)))
      return { name, body, size: header.end } as Frame
    }
  }

  /** The stream has ended: nothing may be left over. */
  finish(): void {
    if (this.#start !== this.#end) throw new DecodeError('the stream ends inside a frame')
  }
}

function splitHeader(bytes: Uint8Array): { kind: number; start: number; end: number } | undefined {
  const length = splitVarint(bytes, 0)
  if (length === undefined) return undefined
  if (length.value > UNKNOWN_FRAME_BODY_MAX) throw tooLarge(length.value, UNKNOWN_FRAME_BODY_MAX)
  const kind = splitVarint(bytes, length.end)
  if (kind === undefined) return undefined
  const name = NAMES.get(kind.value)
  const max = name === undefined ? UNKNOWN_FRAME_BODY_MAX : FRAMES[name].max
  if (length.value > max) throw tooLarge(length.value, max)
  return { kind: kind.value, start: kind.end, end: kind.end + length.value }
}

function tooLarge(length: number, max: number): DecodeError {
  return new DecodeError(`a frame has ${length} bytes, its maximum is ${max}`, Code.frame_too_large)
}

const NAMES = new Map(Object.entries(FRAMES).map(([name, frame]) => [frame.kind as number, name as FrameName]))
