// A server for tests: rooms in memory, the protocol as a client sees it, and ways to be difficult.

import { createClient, type Client, type ClientOptions } from '../client.ts'
import type { Connect, TransportName } from '../link.ts'
import { Code } from '../wire/code.ts'
import { type Body, decodeDatagram, encode, encodeDatagram, type Frame, type FrameName } from '../wire/frame.ts'
import type { Ephemeral } from '../wire/join.ts'
import type { Format } from '../wire/record.ts'
import { MockLink } from './link.ts'
import { type Joiner, MockRoom, type Producer, read, start } from './room.ts'
import { ServerStream } from './stream.ts'

/** What to send in place of an answer. */
export type Answer = { [N in FrameName]: { name: N; body: Body<N> } }[FrameName]

/** Somebody who is connected. */
interface Peer {
  link: MockLink
  control: ServerStream
  session: string
  user: string
}

/** A stream with its first frame. */
interface Opened<N extends FrameName> {
  peer: Peer | undefined
  link: MockLink
  stream: ServerStream
  first: Body<N>
}

/** What `drain` says to the clients. */
export interface DrainOptions {
  /** Where else to go: URLs. Without any, clients come back to this server. */
  nodes?: string[]
  /** How long they may stay. Default 10 s. */
  deadlineMs?: number
  /** How long they wait before they come back. Default 1 s. */
  delayMs?: number
}

/**
 * A whole server in this process. Pass `server.connect` to `createClient`, or take clients from `server.client`. It
 * needs no time of its own: with `latencyMs` 0 everything happens in microtasks, and fake timers work.
 */
export class MockServer {
  epoch = 1000
  /** Connections that are open. */
  readonly links = new Set<MockLink>()
  /** Every frame that a client has sent, in order. */
  readonly received: Frame[] = []
  /** How often somebody has connected, or tried to. */
  connections = 0
  pingIntervalMs = 5_000
  limits = { rooms_max: 256, reads_max: 8, publish_max: 64, payload_bytes_max: 65_536 }
  /** Publishes of one stream that may be without an answer. */
  inFlightMax = 8
  /** How long everything takes, each way, on connections to come. */
  latencyMs = 0
  /** The longest datagram of connections to come; 0 for none. */
  datagramBytesMax = 1200
  /** Whether `Ping` is answered. */
  alive = true
  /** Whether it keeps read marks. */
  offersMarks = true
  /** When set, tokens expire this long after they were shown, and the client is told this long before. */
  tokenMs: { life: number; warning: number } | undefined
  /** Whether a new token is taken inside a session. */
  offersRefresh = true
  /** Where else clients may go, in `Welcome`. */
  nodes: string[] = []
  /** In place of appending a publish: the code to refuse it with. */
  onPublish: (publish: Body<'Publish'>) => number | undefined = () => undefined
  /** In place of the answer to the first frame of a stream; a promise delays it. */
  onFirst: (frame: Frame) => Answer | undefined | Promise<Answer | undefined> = () => undefined
  /** Who a token is; the code that it is refused with otherwise. */
  authenticate: (token: string) => string | number = (token) => token
  /** Why no connection comes about. */
  down: string | undefined
  readonly #rooms = new Map<string, MockRoom>()
  readonly #peers = new Map<MockLink, Peer>()

  readonly connect: Connect = (dial) => this.connectAs('memory')(dial)

  /** A client of this server. Nothing is stored unless `store` says so. */
  client(options: Partial<ClientOptions> = {}): Client {
    const named = options.getToken === undefined ? { name: 'ada' } : {}
    return createClient({ url: 'http://mock', connect: this.connect, store: false, ...named, ...options })
  }

  /** Connections that call themselves this. */
  connectAs(transport: TransportName): Connect {
    return async () => {
      this.connections++
      if (this.down !== undefined) throw new Error(this.down)
      const { latencyMs, datagramBytesMax } = this
      const link = new MockLink(
        (stream) => void this.#serve(link, new ServerStream(stream)).catch(() => {}),
        { transport, latencyMs, datagramBytesMax },
      )
      link.onClientDatagram = (bytes) => this.#handleEphemeral(link, decodeDatagram(bytes), true)
      this.links.add(link)
      void link.closed.then(() => {
        this.links.delete(link)
        this.#peers.delete(link)
      })
      return link
    }
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

  /** Asks everybody to go, as a server does that is about to stop. */
  drain({ nodes = [], deadlineMs = 10_000, delayMs = 1_000 }: DrainOptions = {}): void {
    for (const { control } of this.#peers.values()) {
      control.send('Goaway', { reason: 'shutdown', deadline: deadlineMs, delay: delayMs, nodes })
    }
  }

  /** Nothing arrives any more on the connections there are, and nobody is told; until `release`. */
  hold(): void {
    for (const link of this.links) link.hold()
  }

  /** What was held arrives after all. */
  release(): void {
    for (const link of this.links) link.release()
  }

  /** A room, to look into and to change. */
  room(name: string): MockRoom {
    let room = this.#rooms.get(name)
    if (room === undefined) {
      room = new MockRoom(7 + this.#rooms.size)
      this.#rooms.set(name, room)
    }
    return room
  }

  /** What the room holds, as text. */
  texts(name: string): string[] {
    return this.room(name).texts
  }

  /** Appends as somebody else would. The result is the offset. */
  append(name: string, text: string, from: { sender?: string; kind?: number; format?: Format } = {}): number {
    const payload = new TextEncoder().encode(text)
    const fixed = { kind: 0, format: 'text' as const, flags: 0, sender: 'bob', refers: null }
    return this.room(name).append({ ...fixed, producer: '00000000', id: this.room(name).head + 1, payload, ...from })
  }

  /** The control stream of the first client that is connected, to say anything on. */
  control(): ServerStream {
    const [peer] = this.#peers.values()
    if (peer === undefined) throw new Error('nobody is connected')
    return peer.control
  }

  /** The bodies of all frames of this sort that clients have sent. */
  framesOf<N extends FrameName>(name: N): Body<N>[] {
    return this.received.filter((frame) => frame.name === name).map(({ body }) => body as Body<N>)
  }

  async #serve(link: MockLink, stream: ServerStream): Promise<void> {
    const first = await this.#next(stream)
    if (first === undefined) return
    const special = await this.onFirst(first)
    if (special !== undefined) {
      stream.send(special.name, special.body as never)
      return stream.finish()
    }
    const peer = this.#peers.get(link)
    switch (first.name) {
      case 'Hello':
        return this.#greet(link, stream, first.body)
      case 'Join':
        return this.#join({ peer, link, stream, first: first.body })
      case 'Open':
        return this.#open({ peer, link, stream, first: first.body })
      case 'Read':
        return this.#read(stream, first.body)
      case 'Watch':
        return this.#watch(stream, first.body)
      case 'Who':
        return this.#who(stream, first.body)
      default:
        return undefined
    }
  }

  async #next(stream: ServerStream): Promise<Frame | undefined> {
    const frame = await stream.next()
    if (frame !== undefined) this.received.push(frame)
    return frame
  }

  async #greet(link: MockLink, stream: ServerStream, { auth }: Body<'Hello'>): Promise<void> {
    const user = auth.type === 'anonymous' ? auth.name : this.authenticate(auth.token)
    if (typeof user === 'number') return stream.refuse(user)
    const session = this.connections.toString(16).padStart(32, '0')
    this.#peers.set(link, { link, control: stream, session, user })
    const expiresAt = this.#expire(stream)
    stream.send('Welcome', {
      version: 1,
      session,
      node: 'mock',
      principal: { tenant: 'main', user },
      limits: this.limits,
      ping_interval: this.pingIntervalMs,
      expires_at: auth.type === 'bearer' ? expiresAt : null,
      server_time: Date.now(),
      nodes: this.nodes,
    })
    for (let frame = await this.#next(stream); frame !== undefined; frame = await this.#next(stream)) {
      this.#handleControl(stream, user, frame)
    }
    link.cut('the client has gone')
  }

  #handleControl(stream: ServerStream, user: string, frame: Frame): void {
    if (frame.name === 'Ping' && this.alive) stream.send('Pong', { token: frame.body.token, server_time: Date.now() })
    if (frame.name === 'Peek') {
      stream.send('Peeked', { rooms: frame.body.rooms.map((room) => this.#status(room, user)) })
    }
    if (frame.name === 'Refresh') {
      const found = this.authenticate(frame.body.token)
      if (!this.offersRefresh) stream.send('Closing', { code: Code.not_offered, reason: '' })
      else if (found === user) stream.send('Refreshed', { expires_at: this.#expire(stream) })
      else stream.send('Closing', { code: typeof found === 'number' ? found : Code.principal_changed, reason: '' })
    }
  }

  /** Lets the token that was just shown expire, and says so before. */
  #expire(stream: ServerStream): number | null {
    if (this.tokenMs === undefined) return null
    const { life, warning } = this.tokenMs
    const at = Date.now() + life
    setTimeout(() => stream.send('Expiring', { at }), life - warning)
    return at
  }

  #status(name: string, user: string): { epoch: number; head: number; floor: number; mark: number | null } {
    const { head, floor, marks } = this.room(name)
    return { epoch: this.epoch, head, floor, mark: marks.get(user) ?? null }
  }

  async #join({ peer, link, stream, first }: Opened<'Join'>): Promise<void> {
    const room = this.room(first.room)
    const joiner: Joiner = { link, user: peer?.user ?? '', stream, presence: first.presence }
    stream.send('Joined', { handle: room.handle, epoch: this.epoch, head: room.head, floor: room.floor })
    const target = room.head
    let next = start(room, first.from, this.epoch, stream)
    let { credit } = first
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
    room.enter(joiner)
    const leave = () => room.leave(joiner)
    void link.closed.then(leave)
    try {
      pump()
      for (let frame = await this.#next(stream); frame !== undefined; frame = await this.#next(stream)) {
        if (frame.name === 'Credit') credit += frame.body.bytes
        if (frame.name === 'Mark') {
          if (!this.offersMarks) return stream.leave(Code.not_offered)
          this.#mark(first.room, joiner.user, frame.body.offset)
        }
        if (frame.name === 'Ephemeral') this.#handleEphemeral(link, frame.body, false)
        pump()
      }
      stream.leave(Code.done)
    } finally {
      room.changed.delete(pump)
      leave()
    }
  }

  /** Moves a user's read mark, and tells all their sessions. */
  #mark(name: string, user: string, offset: number): void {
    const room = this.room(name)
    const mark = Math.min(offset, room.head)
    if (mark <= (room.marks.get(user) ?? -1)) return
    room.marks.set(user, mark)
    for (const peer of this.#peers.values()) {
      if (peer.user === user) peer.control.send('Marked', { room: name, offset: mark })
    }
  }

  /** Passes an ephemeral on the way it came: as a datagram where the receiver has them, else on its join streams. */
  #handleEphemeral(from: MockLink, ephemeral: Ephemeral, isDatagram: boolean): void {
    const sender = this.#peers.get(from)?.session
    if (sender === undefined) return
    const passed = { ...ephemeral, sender }
    for (const room of this.#rooms.values()) {
      if (room.handle !== ephemeral.handle) continue
      for (const { link, stream } of room.joiners) {
        if (link === from) continue
        if (isDatagram && link.datagramBytesMax > 0) link.pushDatagram(encodeDatagram(passed))
        else stream.send('Ephemeral', passed)
      }
    }
  }

  #read(stream: ServerStream, first: Body<'Read'>): void {
    if (first.limit === 0) return stream.refuse(Code.bad_frame)
    const room = this.room(first.room)
    const { gap, records, more } = read(room, first)
    stream.send('ReadHead', { epoch: this.epoch, floor: room.floor, head: room.head })
    if (gap !== undefined) stream.send('Gap', { ...gap, reason: 'retention' })
    for (const record of records) stream.send('Record', record)
    stream.send('ReadEnd', { first: records[0]?.offset ?? 0, last: records.at(-1)?.offset ?? 0, more })
    stream.finish()
  }

  #who(stream: ServerStream, { room, after, limit }: Body<'Who'>): void {
    if (limit === 0) return stream.refuse(Code.bad_frame)
    const { members } = this.room(room)
    const behind = members.filter(({ user }) => after === null || user > after)
    const page = behind.slice(0, Math.min(limit, 1000))
    stream.send('Members', { count: members.length, members: page, more: behind.length > page.length })
    stream.finish()
  }

  async #watch(stream: ServerStream, { what }: Body<'Watch'>): Promise<void> {
    const told = new Map<string, number>()
    const look = () => {
      const names = what.type === 'rooms' ? what.rooms : [...this.#rooms.keys()]
      for (const name of names) {
        if (what.type === 'prefix' && !name.startsWith(what.prefix)) continue
        const { head, changed } = this.room(name)
        changed.add(look)
        if (head === 0 || told.get(name) === head) continue
        told.set(name, head)
        stream.send('Head', { room: name, epoch: this.epoch, head })
      }
    }
    look()
    while ((await this.#next(stream)) !== undefined);
    for (const { changed } of this.#rooms.values()) changed.delete(look)
    stream.finish()
  }

  async #open({ peer, stream, first: open }: Opened<'Open'>): Promise<void> {
    const room = this.room(open.room)
    const producer: Producer = room.producers.get(open.producer) ?? { lastId: 0, offsets: new Map(), stream: undefined }
    room.producers.set(open.producer, producer)
    producer.stream?.send('Refused', { code: Code.fenced, message: '', retry_after: 0 })
    producer.stream = stream
    stream.send('Opened', { last_id: producer.lastId, in_flight_max: this.inFlightMax })
    let failed = false
    for (let frame = await this.#next(stream); frame !== undefined; frame = await this.#next(stream)) {
      if (frame.name !== 'Publish') continue
      const { id } = frame.body
      if (failed && id > producer.lastId + 1) nack(stream, id, Code.skipped, producer)
      else failed = !this.#publish(open, peer?.user ?? '', producer, stream, frame.body)
    }
    if (producer.stream === stream) producer.stream = undefined
    stream.finish()
  }

  #publish(
    open: Body<'Open'>,
    sender: string,
    producer: Producer,
    stream: ServerStream,
    publish: Body<'Publish'>,
  ): boolean {
    const { id, kind, format, flags, refers, payload } = publish
    const room = this.room(open.room)
    const known = producer.offsets.get(id)
    if (known !== undefined) {
      const time = room.records.find(({ offset }) => offset === known)?.time ?? Date.now()
      stream.send('Ack', { id, position: { epoch: this.epoch, offset: known }, time, duplicate: 'yes' })
      return true
    }
    const isNext = producer.lastId === 0 || id === producer.lastId + 1
    const code = this.onPublish(publish) ?? (isNext ? deletes(room, sender, publish) : Code.id_gap)
    if (code !== undefined) {
      nack(stream, id, code, producer)
      return false
    }
    const tag = open.producer.slice(0, 8)
    if (kind === KIND_DELETE && refers !== null) room.redact(refers)
    const offset = room.append({ sender, producer: tag, id, kind, format, flags, refers, payload })
    producer.lastId = id
    producer.offsets.set(id, offset)
    const time = room.records.at(-1)?.time ?? 0
    stream.send('AckRun', { epoch: this.epoch, first_id: id, count: 1, first_offset: offset, time })
    return true
  }
}

/** Why this may not be deleted, if it is a deletion. */
function deletes(room: MockRoom, sender: string, { kind, refers }: Body<'Publish'>): number | undefined {
  if (kind !== KIND_DELETE) return undefined
  const record = room.records.find(({ offset }) => offset === refers)
  if (record?.kind !== 0) return Code.bad_record
  return record.sender === sender ? undefined : Code.forbidden
}

function nack(stream: ServerStream, id: number, code: number, producer: Producer): void {
  stream.send('Nack', { id, code, expected: producer.lastId + 1, retry_after: 0 })
}

const KIND_DELETE = 2
