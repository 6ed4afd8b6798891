// What a client does by docs/PROTOCOL.md, in a browser without the SDK. The same steps as ../scenario.py.

import { check, equal } from './vectors.js'
import { Decoder, concat, decodeBody, encode, encodeBody, hex } from './wire.js'

const [DONE, ID_GAP, BAD_NAME, CONFLICT, FENCED] = [1000, 1001, 3004, 3008, 3009]
// A byte order mark at its start is part of a name.
const NAME = '\ufeffZoë 🦊'
const CREDIT = 196_608
// Milliseconds between two sayings of an ephemeral that may have been lost.
const REPEAT = 100

const ofText = (text) => hex(new TextEncoder().encode(text))
const RECORDS = [
  { kind: 0, format: 'text', flags: 0, refers: null, payload: ofText('eins') },
  { kind: 0, format: 'json', flags: 0, refers: null, payload: ofText('{"two":2}') },
  { kind: 32, format: 'bytes', flags: 1, refers: 1, payload: '00ff' },
  { kind: 255, format: 'bytes', flags: 0, refers: null, payload: '' },
  { kind: 0, format: 'text', flags: 0, refers: 4, payload: ofText('Zoë 🦊 '.repeat(6_000)) },
]
const LAST = RECORDS.length

/** A stream as frames. Reads at all times, as section 15 wants it. */
class Frames {
  #frames = []
  #waiting
  #writer

  constructor({ readable, writable }) {
    this.#writer = writable.getWriter()
    // A session that ends takes its streams with it; nobody waits for what is written then.
    this.#writer.closed.catch(() => {})
    void this.#read(readable)
  }

  async #read(readable) {
    const decoder = new Decoder()
    try {
      for await (const data of readable) {
        decoder.push(data)
        for (let next = decoder.next(); next !== undefined; next = decoder.next()) this.#push(next)
      }
      decoder.end()
      this.#push({ frame: 'FIN' })
    } catch (error) {
      this.#push({ frame: error instanceof WebTransportError ? 'RESET' : String(error) })
    }
  }

  #push(next) {
    this.#frames.push(next)
    this.#waiting?.()
  }

  get arrived() {
    return this.#frames.length
  }

  write(data) {
    this.#writer.write(data).catch(() => {})
  }

  send(frame, fields) {
    this.write(encode(frame, fields))
  }

  fin() {
    this.#writer.close().catch(() => {})
  }

  async next() {
    while (this.#frames.length === 0) await new Promise((resolve) => (this.#waiting = resolve))
    return this.#frames.shift()
  }

  /** The next frame, which must be this one; the fields of it that are named must be these. */
  async expect(frame, expected = {}) {
    const next = await this.next()
    equal(next.frame, frame, `instead of a frame with ${JSON.stringify(next.fields)}`)
    for (const [field, value] of Object.entries(expected)) equal(next.fields[field], value, `${frame}.${field}`)
    return next
  }
}

class Client {
  static async greet(info) {
    const client = new Client()
    const hashes = info.certificate_hashes.map((hash) => Uint8Array.from(atob(hash), (byte) => byte.charCodeAt(0)))
    client.transport = new WebTransport(info.transports.webtransport[0], {
      serverCertificateHashes: hashes.map((value) => ({ algorithm: 'sha-256', value })),
    })
    await client.transport.ready
    const { readable, writable, createWritable } = client.transport.datagrams
    client.heard = readable.getReader()
    client.said = (writable ?? createWritable.call(client.transport.datagrams)).getWriter()
    client.control = await client.open()
    const auth = { type: 'anonymous', name: NAME }
    client.control.send('Hello', { versions: [1], auth, client: 'foreign/1', previous: null })
    return client
  }

  async welcome() {
    const expected = { version: 1, principal: { tenant: 'main', user: NAME }, expires_at: null }
    this.id = (await this.control.expect('Welcome', expected)).fields.session
  }

  async open() {
    return new Frames(await this.transport.createBidirectionalStream())
  }

  async begin(frame, fields) {
    const stream = await this.open()
    stream.send(frame, fields)
    return stream
  }

  join(room, from, credit = CREDIT) {
    return this.begin('Join', { room, from, mode: 'all', credit, presence: 'none' })
  }

  async ping(token) {
    this.control.send('Ping', { token })
    await this.control.expect('Pong', { token })
  }
}

/** Everything in one write: no answer is waited for. */
const publishAll = (stream) =>
  stream.write(concat(RECORDS.map((record, index) => encode('Publish', { id: index + 1, ...record }))))

/** Position and time of each publish. */
async function answers(stream, duplicate) {
  const acks = []
  while (acks.length < LAST) {
    const { frame, fields } = await stream.next()
    equal(fields.id ?? fields.first_id, acks.length + 1, 'the id that is answered')
    if (frame === 'AckRun') {
      equal(duplicate, 'no', 'an AckRun')
      const { epoch, count, first_offset, time } = fields
      for (let i = 0; i < count; i += 1) acks.push({ position: { epoch, offset: first_offset + i }, time })
    } else {
      equal([frame, fields.duplicate], ['Ack', duplicate], 'answer to a publish')
      acks.push({ position: fields.position, time: fields.time })
    }
  }
  return acks
}

async function publishes(joined, publishing) {
  const { handle, epoch } = (await joined.expect('Joined', { head: 0, floor: 1 })).fields
  await joined.expect('CaughtUp', { head: 0 })
  await publishing.expect('Opened', { last_id: 0 })
  publishAll(publishing)
  const acks = await answers(publishing, 'no')
  const expected = RECORDS.map((_, index) => ({ epoch, offset: index + 1 }))
  equal(acks.map(({ position }) => position), expected, 'positions')
  // The same ids again: nothing is appended, everything is answered as before.
  publishAll(publishing)
  equal(await answers(publishing, 'yes'), acks, 'retry')
  return { handle, epoch, acks }
}

async function readsAlong(joined, acks, producer) {
  const records = []
  for (const [index, { position, time }] of acks.entries()) {
    const own = { offset: position.offset, time, sender: NAME, producer: producer.slice(0, 8), id: index + 1 }
    const record = await joined.expect('Record', { ...own, ...RECORDS[index] })
    joined.send('Credit', { bytes: record.size })
    records.push(record)
  }
  const payload = ofText('from the native client')
  const native = { offset: LAST + 1, sender: 'native', kind: 0, format: 'text', payload }
  records.push(await joined.expect('Record', native))
  return records
}

/** Behind a position and with no credit: each record comes when the credit is its size, and not before. */
async function resumes(client, room, position, handle, records) {
  const again = await client.join(room, { type: 'after', position }, 0)
  await again.expect('Joined', { handle, epoch: position.epoch, head: records.length, floor: 1 })
  for (const { fields, size } of records.slice(position.offset)) {
    again.send('Credit', { bytes: size - 1 })
    await client.ping(fields.offset)
    equal(again.arrived, 0, 'frames beyond the credit')
    again.send('Credit', { bytes: 1 })
    await again.expect('Record', fields)
  }
  await again.expect('CaughtUp', { head: records.length })
  again.send('Credit', { bytes: CREDIT })
  return again
}

/** On another session, under the same producer: the older stream is fenced, the publishes are known. */
async function retries(old, client, room, producer, acks) {
  const stream = await client.begin('Open', { room, producer })
  await stream.expect('Opened', { last_id: LAST })
  await old.expect('Refused', { code: FENCED })
  await old.expect('FIN')
  publishAll(stream)
  equal(await answers(stream, 'yes'), acks, 'retry on another session')
  stream.send('Publish', { id: LAST, ...RECORDS[0] })
  await stream.expect('Nack', { id: LAST, code: CONFLICT, expected: LAST + 1 })
  stream.send('Publish', { id: LAST + 2, ...RECORDS[0] })
  await stream.expect('Nack', { id: LAST + 2, code: ID_GAP, expected: LAST + 1 })
  stream.fin()
  await stream.expect('FIN')
}

/** Nothing says that a datagram has arrived, so it is said until it has. */
async function ephemeral(speaker, listener, handle) {
  let stamp = 0
  const say = () => {
    stamp += 1
    const value = { handle, sender: '00'.repeat(16), slot: 7, stamp, payload: '7e' }
    speaker.said.write(encodeBody('Ephemeral', value)).catch(() => {})
  }
  say()
  const saying = setInterval(say, REPEAT)
  const { value } = await listener.heard.read()
  clearInterval(saying)
  const { stamp: heard, ...rest } = decodeBody('Ephemeral', value)
  equal(rest, { handle, sender: speaker.id, slot: 7, payload: '7e' }, 'ephemeral')
  if (heard < 1 || heard > stamp) throw new Error(`stamp ${heard} of ${stamp}`)
}

/** Pages of four, from the head to the first. */
async function readsBackward(client, room, records) {
  let before = records.length + 1
  let pages = []
  for (let more = true; more; ) {
    const stream = await client.begin('Read', { room, range: { type: 'before', offset: before }, limit: 4 })
    stream.fin()
    await stream.expect('ReadHead', { floor: 1, head: records.length })
    const first = Math.max(1, before - 4)
    const page = []
    for (let offset = first; offset < before; offset += 1) page.push(await stream.expect('Record', { offset }))
    more = first > 1
    await stream.expect('ReadEnd', { first, last: before - 1, more })
    await stream.expect('FIN')
    pages = [...page, ...pages]
    before = first
  }
  equal(pages, records, 'history')
}

async function asks(client, room, epoch, head) {
  client.control.send('Peek', { rooms: [room] })
  await client.control.expect('Peeked', { rooms: [{ epoch, head, floor: 1, mark: null }] })
  const stream = await client.begin('Watch', { what: { type: 'rooms', rooms: [room] } })
  await stream.expect('Head', { room, epoch, head })
  stream.fin()
  await stream.expect('FIN')
  // A bad name costs the stream and not the session.
  const refused = await client.join('a::b', { type: 'live' })
  await refused.expect('Refused', { code: BAD_NAME })
  await refused.expect('FIN')
  // A frame of an unknown kind is passed over.
  client.control.write(Uint8Array.of(3, 251, 0xf7, 0x03, 1, 2, 3))
  await client.ping(1)
}

/** One session says that it is done, the other ends its control stream. */
async function ends(first, second, streams) {
  for (const stream of streams) {
    stream.fin()
    await stream.expect('Left', { code: DONE })
    await stream.expect('FIN')
  }
  first.control.send('Closing', { code: DONE, reason: '' })
  second.control.fin()
  for (const client of [first, second]) {
    // Nothing may rely on the code: the connection follows at once, and Chromium then says that it was lost.
    const code = await client.transport.closed.then(({ closeCode }) => closeCode, () => DONE)
    equal(code, DONE, 'code of the end')
  }
}

async function scenario(info, room) {
  // Two sessions of one principal: ids of publishes are per principal.
  const [first, second] = [await Client.greet(info), await Client.greet(info)]
  const producer = hex(crypto.getRandomValues(new Uint8Array(16)))
  // Behind Hello, without waiting for Welcome.
  const joined = await first.join(room, { type: 'oldest' })
  const publishing = await first.begin('Open', { room, producer })
  await first.welcome()
  await second.welcome()

  const { handle, epoch, acks } = await publishes(joined, publishing)
  await globalThis.native(room)
  const records = await readsAlong(joined, acks, producer)
  const again = await resumes(second, room, acks[2].position, handle, records)
  await retries(publishing, second, room, producer, acks)
  await ephemeral(first, second, handle)
  await ephemeral(second, first, handle)
  await readsBackward(first, room, records)
  await asks(first, room, epoch, records.length)
  await ends(first, second, [joined, again])
  return records.length
}

/** What `page.mjs` calls. */
globalThis.run = async (files, room) => ({
  vectors: check(files),
  records: await scenario(await (await fetch('/v1/info')).json(), room),
})
