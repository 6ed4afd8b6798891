// What pages that are gone have left in a store. Loaded when there is something: most pages leave nothing.

import type { Core } from './core.ts'
import type { Entry } from './outbox.ts'
import { Publisher } from './publisher.ts'
import { shelfOf, type Storage } from './store.ts'
import { fromHex } from './wire/coding.ts'
import type { Publish } from './wire/record.ts'

/**
 * Sends what a producer has left, under its ids. The caller holds the producer's lock. `adopted` holds what has no
 * answer yet. Resolves when nothing is left to do.
 */
export async function adopt(
  core: Core,
  storage: Storage,
  prefix: string,
  producer: string,
  adopted: Set<Publisher>,
  changed: () => void,
): Promise<void> {
  const rooms = [...(await readRooms(storage, `${prefix}${producer}/`))]
  await Promise.all(
    rooms.map(async ([room, entries]) => {
      const shelf = shelfOf(storage, prefix, producer, room)
      const publisher = new Publisher(core, room, producer, shelf, changed, entries)
      adopted.add(publisher)
      changed()
      await publisher.start()
      adopted.delete(publisher)
      changed()
    }),
  )
}

/** The publishes of a producer by room, in order. An item that cannot be read is removed: nobody ever will. */
async function readRooms(storage: Storage, prefix: string): Promise<Map<string, Entry[]>> {
  const rooms = new Map<string, Entry[]>()
  for (const [key, value] of await storage.entries(prefix)) {
    try {
      const [room = '', seq] = key.slice(prefix.length).split('/').map(decodeURIComponent)
      rooms.set(room, [...(rooms.get(room) ?? []), fromItem(value, Number(seq))])
    } catch {
      storage.remove(key)
    }
  }
  for (const entries of rooms.values()) entries.sort((a, b) => a.seq - b.seq)
  return rooms
}

function fromItem(text: string, seq: number): Entry {
  const { id, payload, ...rest } = JSON.parse(text) as Omit<Publish, 'payload'> & { payload: string }
  const bytes = rest.format === 'bytes' ? fromHex(payload) : new TextEncoder().encode(payload)
  // Nobody waits for it any more; whether it was sent is not known.
  return { seq, id, message: { ...rest, payload: bytes }, inDoubt: true, kept: true, resolved: false, settle: () => {} }
}
