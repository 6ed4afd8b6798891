// A server for tests: rooms in memory, the protocol as far as a client sees it, and hooks to be difficult with.

import type { Connect, Stream } from '../src/link.ts'
import { Code } from '../src/wire/code.ts'
import { type Body, Decoder, encode, type Frame, type FrameName } from '../src/wire/frame.ts'
import type { WireRecord } from '../src/wire/record.ts'
import { MemoryLink } from './memory.ts'

interface Producer {
  lastId: number
  /** Offsets by id. */
  offsets: Map<number, number>
  stream: ServerStream | undefined
}

interface ServerRoom {
  records: WireRecord[]
  floor: number
  producers: Map<string, Producer>
  changed: Set<() => void>
}

type Sent = { name: FrameName; body: unknown }

export class FakeServer {
  epoch = 1000
  /** Links that are open. */
  readonly links = new Set<MemoryLink>()
  /** Every frame that a client has sent, in order. */
  readonly received: Frame[] = []
  connections = 0
  pingIntervalMs = 5_000
  limits = { rooms_max: 256, reads_max: 8, publish_max: 64, payload_bytes_max: 65_536 }
  inFlightMax = 8
  /** Answers to `Ping` come. */
  alive = true
  /** In place of appending a publish: the code to refuse it with. */
  onPublish: (publish: Body<'Publish'>) => number | undefined = () => undefined
  /** In place of the answer to the first frame of a stream. */
  onFirst: (frame: Frame) => Sent | undefined = () => undefined
  /** Why no connection comes about. */
  down: string | undefined
  readonly #rooms = new Map<string, ServerRoom>()
  readonly #controls = new Map<MemoryLink, ServerStream>()

  readonly connect: Connect = async () => {
    this.connections++
    if (this.down !== undefined) throw new Error(this.down)
    const link = new MemoryLink((stream) => void this.#serve(link, new ServerStream(stream)).catch(() => {}))
    this.links.add(link)
    void link.closed.then(() => {
      this.links.delete(link)
      this.#controls.delete(link)
    })
    return link
  }

  /** Cuts all connections. */
  cut(): void {
    for (const link of [...this.links]) link.cut('cut')
  }

  /** As after a crash: all connections are gone, and a new epoch begins behind the last record that was kept. */
  restart(keep = Number.POSITIVE_INFINITY): void {
    this.cut()
    this.epoch += 1000
    for (const room of this.#rooms.values()) {
      room.records = room.records.filter(({ offset }) => offset <= keep)
      for (const producer of room.producers.values()) {
        producer.stream = undefined
        for (const [id, offset] of producer.offsets) if (offset > keep) producer.offsets.delete(id)
        producer.lastId = Math.max(0, ...producer.offsets.keys())
      }
    }
  }

  room(name: string): ServerRoom {
    let room = this.#rooms.get(name)
    if (room === undefined) {
      room = { records: [], floor: 1, producers: new Map(), changed: new Set() }
      this.#rooms.set(name, room)
    }
    return room
  }

  /** What the room holds, as text. */
  texts(name: string): string[] {
    return this.room(name).records.map(({ payload }) => new TextDecoder().decode(payload))
  }

  append(name: string, text: string, from: Partial<WireRecord> = {}): number {
    const room = this.room(name)
    const offset = (room.records.at(-1)?.offset ?? room.floor - 1) + 1
    const payload = new TextEncoder().encode(text)
    const fixed = { time: offset, kind: 0, format: 'text' as const, flags: 0, sender: 'bob', refers: null }
    room.records.push({ ...fixed, producer: '00000000', id: offset, payload, ...from, offset })
    for (const listener of [...room.changed]) listener()
    return offset
  }

  control(): ServerStream {
    const [control] = this.#controls.values()
    if (control === undefined) throw new Error('nobody is connected')
    return control
  }

  framesOf<N extends FrameName>(name: N): Body<N>[] {
    return this.received.filter((frame) => frame.name === name).map(({ body }) => body as Body<N>)
  }

  async #serve(link: MemoryLink, stream: ServerStream): Promise<void> {
    const first = await this.#next(stream)
    if (first === undefined) return
    const special = this.onFirst(first)
    if (special !== undefined) {
      stream.send(special.name, special.body as never)
      return stream.finish()
    }
    if (first.name === 'Hello') return this.#greet(link, stream, first.body)
    if (first.name === 'Join') return this.#join(stream, first.body)
    if (first.name === 'Open') return this.#open(stream, first.body)
  }

  async #next(stream: ServerStream): Promise<Frame | undefined> {
    const frame = await stream.next()
    if (frame !== undefined) this.received.push(frame)
    return frame
  }

  async #greet(link: MemoryLink, stream: ServerStream, hello: Body<'Hello'>): Promise<void> {
    this.#controls.set(link, stream)
    stream.send('Welcome', {
      version: 1,
      session: 'ab'.repeat(16),
      node: 'fake',
      principal: { tenant: 'main', user: hello.auth.type === 'anonymous' ? hello.auth.name : hello.auth.token },
      limits: this.limits,
      ping_interval: this.pingIntervalMs,
      expires_at: null,
      server_time: 1,
      nodes: [],
    })
    for (let frame = await this.#next(stream); frame !== undefined; frame = await this.#next(stream)) {
      if (frame.name === 'Ping' && this.alive) stream.send('Pong', { token: frame.body.token, server_time: 1 })
    }
    link.cut('the client has gone')
  }

  async #join(stream: ServerStream, join: Body<'Join'>): Promise<void> {
    const room = this.room(join.room)
    const head = () => room.records.at(-1)?.offset ?? room.floor - 1
    stream.send('Joined', { handle: 7, epoch: this.epoch, head: head(), floor: room.floor })
    let next = start(join.from, room, head(), this.epoch, stream)
    let credit = join.credit
    const target = head()
    let caughtUp = false
    const pump = () => {
      for (;;) {
        const record = room.records.find(({ offset }) => offset >= next)
        if (record !== undefined) {
          const size = encode('Record', record).length
          if (size > credit) return
          credit -= size
          next = record.offset + 1
          stream.send('Record', record)
        }
        if (!caughtUp && next > target) {
          caughtUp = true
          stream.send('CaughtUp', { head: target })
        }
        if (record === undefined) return
      }
    }
    room.changed.add(pump)
    try {
      pump()
      for (let frame = await this.#next(stream); frame !== undefined; frame = await this.#next(stream)) {
        if (frame.name === 'Credit') credit += frame.body.bytes
        pump()
      }
      stream.send('Left', { code: Code.done })
      stream.finish()
    } finally {
      room.changed.delete(pump)
    }
  }

  async #open(stream: ServerStream, open: Body<'Open'>): Promise<void> {
    const room = this.room(open.room)
    const producer = room.producers.get(open.producer) ?? { lastId: 0, offsets: new Map(), stream: undefined }
    room.producers.set(open.producer, producer)
    producer.stream?.send('Refused', { code: Code.fenced, message: '', retry_after: 0 })
    producer.stream = stream
    stream.send('Opened', { last_id: producer.lastId, in_flight_max: this.inFlightMax })
    let failed = false
    for (let frame = await this.#next(stream); frame !== undefined; frame = await this.#next(stream)) {
      if (frame.name !== 'Publish') continue
      const { id } = frame.body
      if (failed && id > producer.lastId + 1) this.#nack(stream, id, Code.skipped, producer)
      else failed = !this.#publish(open, producer, stream, frame.body)
    }
    if (producer.stream === stream) producer.stream = undefined
    stream.finish()
  }

  #publish(open: Body<'Open'>, producer: Producer, stream: ServerStream, publish: Body<'Publish'>): boolean {
    const { id, kind, format, refers, payload } = publish
    const known = producer.offsets.get(id)
    const position = (offset: number) => ({ epoch: this.epoch, offset })
    if (known !== undefined) {
      stream.send('Ack', { id, position: position(known), time: known, duplicate: 'yes' })
      return true
    }
    const isNext = producer.lastId === 0 || id === producer.lastId + 1
    const code = this.onPublish(publish) ?? (isNext ? undefined : Code.id_gap)
    if (code !== undefined) {
      this.#nack(stream, id, code, producer)
      return false
    }
    const tag = open.producer.slice(0, 8)
    const offset = this.append(open.room, '', { sender: 'ada', producer: tag, id, kind, format, refers, payload })
    producer.lastId = id
    producer.offsets.set(id, offset)
    stream.send('AckRun', { epoch: this.epoch, first_id: id, count: 1, first_offset: offset, time: offset })
    return true
  }

  #nack(stream: ServerStream, id: number, code: number, producer: Producer): void {
    stream.send('Nack', { id, code, expected: producer.lastId + 1, retry_after: 0 })
  }
}

/** The first offset to send. */
function start(
  from: Body<'Join'>['from'],
  room: ServerRoom,
  head: number,
  epoch: number,
  stream: ServerStream,
): number {
  if (from.type === 'live') return head + 1
  if (from.type === 'last') return Math.max(room.floor, head - from.count + 1)
  if (from.type !== 'after') return room.floor
  const { offset } = from.position
  if (offset > head) stream.send('Reset', { epoch, valid_to: head, head })
  const next = Math.min(offset, head) + 1
  if (next < room.floor) stream.send('Gap', { from: next, to: room.floor - 1, reason: 'retention' })
  return Math.max(next, room.floor)
}

/** The server's end of a stream. */
export class ServerStream {
  readonly #stream: Stream
  readonly #decoder = new Decoder()

  constructor(stream: Stream) {
    this.#stream = stream
  }

  async next(): Promise<Frame | undefined> {
    for (;;) {
      const frame = this.#decoder.next()
      if (frame !== undefined) return frame
      const piece = await this.#stream.read()
      if (piece === undefined) return undefined
      this.#decoder.push(piece)
    }
  }

  send<N extends FrameName>(name: N, body: Body<N>): void {
    // A connection that was cut in between is the client's to notice.
    this.#stream.write(encode(name, body)).catch(() => {})
  }

  finish(): void {
    this.#stream.finish()
  }
}
