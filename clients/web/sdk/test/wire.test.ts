// The golden vectors that the Rust implementation runs too.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { action, Code, codeName } from '../src/wire/code.ts'
import { DecodeError, fromHex, splitVarint, toHex, Writer } from '../src/wire/coding.ts'
import { type Body, Decoder, decodeDatagram, encode, encodeDatagram } from '../src/wire/frame.ts'
import { FRAMES, type FrameName } from '../src/wire/frame.ts'
import * as limits from '../src/wire/limits.ts'
import { checkRoom, checkTenant, checkUser } from '../src/wire/name.ts'
import { formatPosition, parsePosition } from '../src/wire/position.ts'

interface Field {
  name: string
  value: unknown
  hex: string
}

interface Vector {
  frame: FrameName
  kind: number
  comment: string
  hex: string
  fields: Field[]
}

function vectors<T>(file: string): T {
  return JSON.parse(readFileSync(new URL(`../../../../crates/wire/vectors/${file}.json`, import.meta.url), 'utf8')) as T
}

/** The value of a frame as the SDK has it: payloads are bytes, everything else is as in the vectors. */
function value(fields: Field[]): Record<string, unknown> {
  return Object.fromEntries(
    fields.map(({ name, value }) => [name, name === 'payload' ? fromHex(value as string) : value]),
  )
}

describe.each(['control', 'join', 'watch', 'publish', 'read', 'who'])('frames of %s.json', (file) => {
  it.each(vectors<{ vectors: Vector[] }>(file).vectors)('$frame: $comment', ({ frame, kind, hex, fields }) => {
    expect(FRAMES[frame].kind).toBe(kind)
    const decoder = new Decoder()
    decoder.push(fromHex(hex))
    const decoded = decoder.next()
    expect(decoded).toEqual({ name: frame, body: value(fields), size: hex.length / 2 })
    decoder.finish()
    expect(toHex(encode(frame, value(fields) as Body<typeof frame>))).toBe(hex)
  })
})

it('cuts frames out of pieces of any size', () => {
  const all = ['control', 'join', 'publish'].flatMap((file) => vectors<{ vectors: Vector[] }>(file).vectors)
  const stream = fromHex(all.map(({ hex }) => hex).join(''))
  for (const size of [1, 2, 3, 7, 64, 1000]) {
    const decoder = new Decoder()
    const names: string[] = []
    for (let at = 0; at < stream.length; at += size) {
      decoder.push(stream.subarray(at, at + size))
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) names.push(frame.name)
    }
    decoder.finish()
    expect(names).toEqual(all.map(({ frame }) => frame))
  }
})

it('skips unknown kinds and ignores what a later version appends', () => {
  const decoder = new Decoder()
  decoder.push(fromHex('03fb0f27aabbcc' + '0307fa0102'))
  expect(decoder.next()).toEqual({ name: 'Ping', body: { token: 250 }, size: 5 })
  expect(decoder.next()).toBeUndefined()
})

it.each(vectors<{ vectors: Vector[] }>('datagram').vectors)('a datagram: $comment', ({ hex, fields }) => {
  expect(decodeDatagram(fromHex(hex))).toEqual(value(fields))
  expect(toHex(encodeDatagram(value(fields) as Body<'Ephemeral'>))).toBe(hex)
})

interface Malformed {
  code: number
  comment: string
  frames_before: string[]
  hex: string
}

it.each(vectors<{ streams: Malformed[] }>('malformed').streams)('$code: $comment', ({ code, hex, frames_before }) => {
  const decoder = new Decoder()
  const names: string[] = []
  const readAll = () => {
    decoder.push(fromHex(hex))
    for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) names.push(frame.name)
    decoder.finish()
  }
  expect(readAll).toThrow(expect.objectContaining({ name: 'DecodeError', code }))
  expect(names).toEqual(frames_before)
})

it('varints', () => {
  const { valid, invalid, truncated } = vectors<{
    valid: { hex: string; value: number }[]
    invalid: { hex: string; comment: string }[]
    truncated: string[]
  }>('varints')
  for (const { hex, value } of valid) {
    expect(splitVarint(fromHex(hex), 0)).toEqual({ value, end: hex.length / 2 })
    const out = new Writer()
    out.varint(value)
    expect(toHex(out.bytes())).toBe(hex)
  }
  for (const { hex, comment } of invalid) expect(() => splitVarint(fromHex(hex), 0), comment).toThrow(DecodeError)
  for (const hex of truncated) expect(splitVarint(fromHex(hex), 0)).toBeUndefined()
})

interface Names {
  valid: string[]
  invalid: { name: string; comment: string }[]
}

it.each([
  ['rooms', checkRoom],
  ['users', checkUser],
  ['tenants', checkTenant],
] as const)('names of %s', (which, check) => {
  const { valid, invalid } = vectors<Record<typeof which, Names>>('names')[which]
  for (const name of valid) expect(check(name), name).toBeUndefined()
  for (const { name, comment } of invalid) expect(check(name), comment).toBeTypeOf('string')
})

it('positions as text', () => {
  const { valid, invalid } = vectors<{
    valid: { epoch: number; offset: number; text: string }[]
    invalid: string[]
  }>('positions')
  for (const { text, ...position } of valid) {
    expect(parsePosition(text)).toEqual(position)
    expect(formatPosition(position)).toBe(text)
  }
  for (const text of invalid) expect(parsePosition(text), text).toBeUndefined()
})

it('codes', () => {
  const { codes, unknown } = vectors<{
    codes: { action: string; code: number; name: string }[]
    unknown: { action: string; code: number }[]
  }>('codes')
  expect(Object.fromEntries(codes.map(({ name, code }) => [name, code]))).toEqual(Code)
  for (const { code, name } of codes) expect(codeName(code)).toBe(name)
  for (const entry of [...codes, ...unknown]) expect(action(entry.code), String(entry.code)).toBe(entry.action)
})

it('limits', () => {
  interface Row {
    frame: FrameName
    kind: number
    body_bytes_max: number
  }
  const { frames, ...bounds } = vectors<{ frames: Row[] }>('limits')
  expect(frames).toEqual(
    Object.entries(FRAMES).map(([frame, { kind, max }]) => ({ frame, kind, body_bytes_max: max })),
  )
  expect(bounds).toMatchObject({
    datagram_bytes_max: limits.DATAGRAM_BYTES_MAX,
    list_length_max: limits.LIST_LENGTH_MAX,
    number_max: Number.MAX_SAFE_INTEGER,
    payload_bytes_max_hard: limits.PAYLOAD_BYTES_MAX_HARD,
    peek_rooms_max: limits.PEEK_ROOMS_MAX,
    room_bytes_max: limits.ROOM_BYTES_MAX,
    room_segments_max: limits.ROOM_SEGMENTS_MAX,
    segment_bytes_max: limits.SEGMENT_BYTES_MAX,
    tenant_bytes_max: limits.TENANT_BYTES_MAX,
    text_bytes_max: limits.TEXT_BYTES_MAX,
    token_bytes_max: limits.TOKEN_BYTES_MAX,
    unknown_frame_body_bytes_max: limits.UNKNOWN_FRAME_BODY_MAX,
    user_bytes_max: limits.USER_BYTES_MAX,
  })
})
