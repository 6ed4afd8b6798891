// For tests of applications: a whole Loquic server in the process, without a network.
//
// ```ts
// import { MockServer } from '@loquic/client/testing'
//
// const server = new MockServer()
// const client = server.client({ name: 'ada' })
// server.append('chat:lobby', 'hello', { sender: 'bob' })
// server.cut() // and see that the application does not mind
// ```

// Here from the start: tests in virtual time do not wait for what is loaded.
import '../questions.ts'

export type { MockLinkOptions } from './link.ts'
export { MockLink } from './link.ts'
export { MockRoom } from './room.ts'
export { type Answer, type DrainOptions, MockServer } from './server.ts'
export type { ServerStream } from './stream.ts'
