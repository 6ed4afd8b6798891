// Loquic in React: hooks that are safe in concurrent rendering and in StrictMode.

export { LoquicProvider, useClient } from './context.ts'
export type { Pending } from './pending.ts'
export type { HistoryState, Shown } from './store.ts'
export type { Gap, Reset, RoomRecord } from './timeline.ts'
export { usePresence, type UsedTyping, useTyping } from './usePresence.ts'
export { type UsedHistory, type UsedRoom, useHistory, useRoom } from './useRoom.ts'
export { useStatus } from './useStatus.ts'
export { type Unread, useUnread } from './useUnread.ts'
