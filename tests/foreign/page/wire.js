// The coding of docs/PROTOCOL.md sections 3 to 5, written from that text alone. Values are those of the vectors in
// crates/wire/vectors: ids, tags and payloads are hexadecimal.

const BAD_FRAME = 3001
const FRAME_TOO_LARGE = 3002
const BAD_NAME = 3004

/** The bytes are not what section 3 says. */
export class Malformed extends Error {
  constructor(code, why) {
    super(`${why} (${code})`)
    this.code = code
  }
}

/** More bytes may make it whole. */
export class Truncated extends Error {}

export const hex = (data) => Array.from(data, (byte) => byte.toString(16).padStart(2, '0')).join('')
export const unhex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))

export function concat(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

export class Reader {
  constructor(data) {
    this.data = data
    this.at = 0
  }

  get left() {
    return this.data.length - this.at
  }

  take(count) {
    if (count > this.left) throw new Truncated()
    this.at += count
    return this.data.subarray(this.at - count, this.at)
  }

  varint() {
    const first = this.take(1)[0]
    if (first <= 250) return first
    if (first > 253) throw new Malformed(BAD_FRAME, 'a reserved first byte')
    const bytes = this.take(2 ** (first - 250))
    const number = bytes.reduceRight((sum, byte) => sum * 256 + byte, 0)
    const least = first === 251 ? 251 : 2 ** (8 * (bytes.length / 2))
    if (number < least || number > Number.MAX_SAFE_INTEGER) throw new Malformed(BAD_FRAME, 'a varint of another form')
    return number
  }
}

export function varint(number) {
  if (number <= 250) return Uint8Array.of(number)
  const size = number < 2 ** 16 ? 1 : number < 2 ** 32 ? 2 : 3
  const bytes = new Uint8Array(1 + 2 ** size)
  bytes[0] = 250 + size
  for (let at = 1; at < bytes.length; at += 1) {
    bytes[at] = number % 256
    number = Math.floor(number / 256)
  }
  return bytes
}

// ---- Types: each reads and writes.

const number = (bits) => ({
  read(reader) {
    const value = reader.varint()
    if (value >= 2 ** bits) throw new Malformed(BAD_FRAME, 'a number too large for its type')
    return value
  },
  write: varint,
})

const byte = { read: (reader) => reader.take(1)[0], write: (value) => Uint8Array.of(value) }

const bool = {
  read(reader) {
    const value = reader.take(1)[0]
    if (value > 1) throw new Malformed(BAD_FRAME, 'neither 0 nor 1')
    return value === 1
  },
  write: (value) => Uint8Array.of(Number(value)),
}

const raw = (size) => ({ read: (reader) => hex(reader.take(size)), write: unhex })

const sized = (data) => concat([varint(data.length), data])
const bytes = (max = Number.MAX_SAFE_INTEGER) => ({
  read(reader) {
    const length = reader.varint()
    if (length > max) throw new Malformed(BAD_FRAME, 'a payload too long')
    return hex(reader.take(length))
  },
  write: (value) => sized(unhex(value)),
})

// Without `ignoreBOM` a U+FEFF at the start would vanish from names, which are compared byte by byte.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decodeText(data) {
  try {
    return utf8.decode(data)
  } catch {
    throw new Malformed(BAD_FRAME, 'not UTF-8')
  }
}

const writeText = (value) => sized(new TextEncoder().encode(value))

const text = (max = 1024) => ({
  read(reader) {
    const length = reader.varint()
    if (length > max) throw new Malformed(BAD_FRAME, 'a text too long')
    return decodeText(reader.take(length))
  },
  write: writeText,
})

/** A name that breaks its grammar, by length too, is noted: the frame has to be sound before that counts. */
const name = (isName) => ({
  read(reader) {
    const value = decodeText(reader.take(reader.varint()))
    if (!isName(value)) reader.badName = value
    return value
  },
  write: writeText,
})

const option = (type) => ({
  read: (reader) => (bool.read(reader) ? type.read(reader) : null),
  write: (value) => (value === null ? Uint8Array.of(0) : concat([Uint8Array.of(1), type.write(value)])),
})

const list = (type, max = 1024) => ({
  read(reader) {
    const count = reader.varint()
    if (count > max || count > reader.left) throw new Malformed(BAD_FRAME, 'a count too large')
    return Array.from({ length: count }, () => type.read(reader))
  },
  write: (values) => concat([varint(values.length), ...values.map(type.write)]),
})

const struct = (fields) => ({
  read: (reader) => Object.fromEntries(Object.entries(fields).map(([field, type]) => [field, type.read(reader)])),
  write: (value) => concat(Object.entries(fields).map(([field, type]) => type.write(value[field]))),
})

function numbered(names, reader) {
  const variant = names[reader.varint()]
  if (variant === undefined) throw new Malformed(BAD_FRAME, 'a variant that is not listed')
  return variant
}

const plain = (...names) => ({
  read: (reader) => numbered(names, reader),
  write: (value) => varint(names.indexOf(value)),
})

const variants = (fields) => {
  const names = Object.keys(fields)
  return {
    read(reader) {
      const type = numbered(names, reader)
      return { type, ...struct(fields[type]).read(reader) }
    },
    write: (value) => concat([varint(names.indexOf(value.type)), struct(fields[value.type]).write(value)]),
  }
}

// ---- Names, section 4.

const length = (text) => new TextEncoder().encode(text).length
export const isSegment = (text) => /^[A-Za-z0-9_~@.-]{1,64}$/.test(text) && text !== '.' && text !== '..'
export const isRoom = (text) => text.length <= 200 && text.split(':').length <= 8 && text.split(':').every(isSegment)
export const isUser = (text) => length(text) >= 1 && length(text) <= 128 && !/[\0-\x1f\x7f-\x9f]/.test(text)

export function position(text) {
  const match = /^(0|[1-9][0-9]*)-(0|[1-9][0-9]*)$/.exec(text)
  const [epoch, offset] = match === null ? [NaN, NaN] : [Number(match[1]), Number(match[2])]
  return Number.isSafeInteger(epoch) && Number.isSafeInteger(offset) ? { epoch, offset } : null
}

// ---- Frames, sections 5 and 7 to 11.

const [u16, u32, u64] = [number(16), number(32), number(53)]
const [id, room, user] = [raw(16), name(isRoom), name(isUser)]
const at = struct({ epoch: u64, offset: u64 })
const payload = bytes(131_072)
const format = plain('bytes', 'text', 'json')
const [SHORT, LONG, RECORD] = [2_048, 32_768, 131_584]

export const FRAMES = {
  Hello: [0x01, LONG, {
    versions: list(u16), auth: variants({ anonymous: { name: user }, bearer: { token: text(8192) } }), client: text(),
    previous: option(id),
  }],
  Welcome: [0x02, LONG, {
    version: u16, session: id, node: text(), principal: struct({ tenant: name(isSegment), user }),
    limits: struct({ rooms_max: u32, reads_max: u32, publish_max: u32, payload_bytes_max: u32 }), ping_interval: u32,
    expires_at: option(u64), server_time: u64, nodes: list(text()),
  }],
  Refused: [0x03, SHORT, { code: u16, message: text(), retry_after: u32 }],
  Refresh: [0x04, LONG, { token: text(8192) }],
  Refreshed: [0x05, SHORT, { expires_at: option(u64) }],
  Expiring: [0x06, SHORT, { at: u64 }],
  Ping: [0x07, SHORT, { token: u64 }],
  Pong: [0x08, SHORT, { token: u64, server_time: u64 }],
  Peek: [0x09, LONG, { rooms: list(room, 100) }],
  Peeked: [0x0a, LONG, { rooms: list(option(struct({ epoch: u64, head: u64, floor: u64, mark: option(u64) }))) }],
  Marked: [0x0b, SHORT, { room, offset: u64 }],
  Goaway: [0x0c, LONG, { reason: plain('shutdown', 'rebalance'), deadline: u32, delay: u32, nodes: list(text()) }],
  Closing: [0x0d, SHORT, { code: u16, reason: text() }],
  Join: [0x10, SHORT, {
    room,
    from: variants({
      live: {}, oldest: {}, at_offset: { offset: u64 }, after: { position: at }, last: { count: u64 },
      at_time: { time: u64 },
    }),
    mode: plain('all', 'latest'), credit: u64, presence: plain('none', 'count', 'changes'),
  }],
  Joined: [0x11, SHORT, { handle: u32, epoch: u64, head: u64, floor: u64 }],
  Record: [0x12, RECORD, {
    offset: u64, time: u64, kind: byte, format, flags: byte, sender: user, producer: raw(4), id: u64,
    refers: option(u64), payload,
  }],
  Gap: [0x13, SHORT, { from: u64, to: u64, reason: plain('retention', 'skipped', 'lost') }],
  Reset: [0x14, SHORT, { epoch: u64, valid_to: u64, head: u64 }],
  CaughtUp: [0x15, SHORT, { head: u64 }],
  Ephemeral: [0x16, SHORT, { handle: u32, sender: id, slot: byte, stamp: u64, payload: bytes() }],
  Presence: [0x17, LONG, { count: u64, snapshot: bool, members: list(struct({ user, sessions: u32 })) }],
  Left: [0x18, SHORT, { code: u16 }],
  Credit: [0x19, SHORT, { bytes: u64 }],
  Mark: [0x1a, SHORT, { offset: u64 }],
  Watch: [0x20, LONG, { what: variants({ rooms: { rooms: list(room) }, prefix: { prefix: text() } }) }],
  Head: [0x21, SHORT, { room, epoch: u64, head: u64 }],
  Open: [0x30, SHORT, { room, producer: id }],
  Opened: [0x31, SHORT, { last_id: u64, in_flight_max: u32 }],
  Publish: [0x32, RECORD, { id: u64, kind: byte, format, flags: byte, refers: option(u64), payload }],
  Ack: [0x33, SHORT, { id: u64, position: at, time: u64, duplicate: plain('no', 'yes', 'trimmed') }],
  AckRun: [0x34, SHORT, { epoch: u64, first_id: u64, count: u32, first_offset: u64, time: u64 }],
  Nack: [0x35, SHORT, { id: u64, code: u16, expected: u64, retry_after: u32 }],
  Read: [0x40, SHORT, {
    room,
    range: variants({
      after: { offset: u64 }, before: { offset: u64 }, between: { after: u64, before: u64 }, newest: {},
      since: { time: u64 },
    }),
    limit: u32,
  }],
  ReadHead: [0x41, SHORT, { epoch: u64, floor: u64, head: u64 }],
  ReadEnd: [0x42, SHORT, { first: u64, last: u64, more: bool }],
  Who: [0x50, SHORT, { room, after: option(user), limit: u32 }],
  Members: [0x51, LONG, { count: u64, members: list(struct({ user, sessions: u32 })), more: bool }],
}
const KINDS = new Map(Object.entries(FRAMES).map(([frame, [kind, max]]) => [kind, { frame, max }]))

export const encodeBody = (frame, fields) => struct(FRAMES[frame][2]).write(fields)

export function encode(frame, fields) {
  const body = encodeBody(frame, fields)
  return concat([varint(body.length), varint(FRAMES[frame][0]), body])
}

/** The fields of a body. What a later version has added behind them is not looked at. */
export function decodeBody(frame, data) {
  const reader = new Reader(data)
  let fields
  try {
    fields = struct(FRAMES[frame][2]).read(reader)
  } catch (error) {
    throw error instanceof Truncated ? new Malformed(BAD_FRAME, `${frame} ends before its last field does`) : error
  }
  if (reader.badName !== undefined) throw new Malformed(BAD_NAME, `${frame} has the name ${reader.badName}`)
  return fields
}

/** Frames out of a stream's bytes as they come. */
export class Decoder {
  #buffer = new Uint8Array()

  push(data) {
    this.#buffer = concat([this.#buffer, data])
  }

  /** The next frame with its fields and its size on the stream; undefined if it is not whole yet. */
  next() {
    for (;;) {
      const reader = new Reader(this.#buffer)
      let known, body
      try {
        const length = reader.varint()
        if (length > RECORD) throw new Malformed(FRAME_TOO_LARGE, 'longer than any frame')
        known = KINDS.get(reader.varint())
        if (length > (known?.max ?? RECORD)) throw new Malformed(FRAME_TOO_LARGE, `${length} bytes`)
        body = reader.take(length)
      } catch (error) {
        if (error instanceof Truncated) return undefined
        throw error
      }
      this.#buffer = this.#buffer.subarray(reader.at)
      if (known) return { frame: known.frame, fields: decodeBody(known.frame, body), size: reader.at }
    }
  }

  end() {
    if (this.#buffer.length > 0) throw new Malformed(BAD_FRAME, 'the stream ends inside a frame')
  }
}

/** What a client does about a code, section 14: the range alone says it. */
export function action(code) {
  const actions = { 1: 'retry_now', 2: 'retry_later', 3: 'fix_request', 4: 'reauthenticate' }
  return actions[Math.floor(code / 1000)] ?? 'retry_elsewhere'
}
