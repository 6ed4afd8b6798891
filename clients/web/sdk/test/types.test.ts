// The public API, as the compiler sees it. `npm run check` is what looks; at run time nothing happens.

import { expectTypeOf, it } from 'vitest'
import {
  type Ack,
  type Client,
  type ClientState,
  createClient,
  type GetToken,
  type HistoryPage,
  LoquicError,
  type Message,
  type Presence,
  type Publishing,
  type Room,
  type RoomEvent,
  type RoomStatus,
  type StandardSchemaV1,
  type Status,
  type WatchEvent,
} from '../src/index.ts'

interface Chat {
  text: string
}

declare const client: Client
declare const room: Room<Chat>
declare const schema: StandardSchemaV1<{ text: string }, Chat>

/** Compiled, and never called. */
export function unused(): void {
  // @ts-expect-error -- a client needs an address
  createClient({ name: 'ada' })
  // @ts-expect-error -- there is no such transport
  createClient({ url: '', transports: ['pigeon'] })
  // @ts-expect-error -- a token is a string or null
  createClient({ url: '', getToken: async () => 7 })
  // @ts-expect-error -- a room of chats takes chats
  void room.publish({ txt: 'a' })
  // @ts-expect-error -- nor an event that is not one
  room.on('message', () => {})
  // @ts-expect-error -- a position needs its epoch
  client.room('r', { from: { type: 'after', position: { offset: 1 } } })
  // @ts-expect-error -- one of both
  client.watch({})
}

it('types', () => {
  expectTypeOf<ReturnType<typeof room.publish>>().toEqualTypeOf<Publishing>()
  expectTypeOf<Awaited<Publishing>>().toEqualTypeOf<Ack>()
  expectTypeOf<Publishing['stored']>().toEqualTypeOf<Promise<void>>()
  expectTypeOf<typeof room.publishBatch>().returns.toEqualTypeOf<Publishing[]>()
  expectTypeOf<typeof room.history>().returns.resolves.toEqualTypeOf<HistoryPage<Chat>>()
  expectTypeOf<typeof room.presence>().toEqualTypeOf<Presence | undefined>()
  expectTypeOf<typeof room.unread>().toEqualTypeOf<number | undefined>()
  expectTypeOf<ReturnType<typeof client.peek>>().resolves.toEqualTypeOf<(RoomStatus | null)[]>()
  expectTypeOf<typeof client.state>().toEqualTypeOf<ClientState>()
  expectTypeOf<ReturnType<typeof client.status>>().toEqualTypeOf<AsyncIterableIterator<Status>>()
  expectTypeOf<ReturnType<typeof client.watch>>().toExtend<AsyncIterable<WatchEvent>>()
  expectTypeOf<GetToken>().returns.resolves.toEqualTypeOf<string | null>()
  expectTypeOf<LoquicError['retryAfterMs']>().toEqualTypeOf<number | undefined>()
})

it('the schema says what a room is of', () => {
  const inferred = () => client.room('r', { schema })
  expectTypeOf<ReturnType<typeof inferred>>().toEqualTypeOf<Room<Chat>>()
  const plain = () => client.room('r')
  expectTypeOf<ReturnType<typeof plain>>().toEqualTypeOf<Room>()
})

it('the type of an event says what is in it', () => {
  const look = (event: RoomEvent<Chat>) => {
    if (event.type === 'record') expectTypeOf(event.record).toEqualTypeOf<Message<Chat>>()
    if (event.type === 'invalid') expectTypeOf(event.record).toEqualTypeOf<Message>()
    if (event.type === 'gap') expectTypeOf(event.reason).toEqualTypeOf<'retention' | 'skipped' | 'lost'>()
  }
  expectTypeOf(look).parameter(0).toEqualTypeOf<RoomEvent<Chat>>()
  const listen = () => room.on('presence', ({ presence }) => expectTypeOf(presence).toEqualTypeOf<Presence>())
  expectTypeOf(listen).returns.toEqualTypeOf<() => void>()
})
