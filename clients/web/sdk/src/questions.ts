// What is asked beside joins and publishes. No page needs it before the first session is there, and many never do: it
// is loaded then, or when it is needed: see `demand.ts`.

export { readPage, readPages } from './history.ts'
export { Marker } from './marker.ts'
export { readMembers } from './members.ts'
export { peek } from './peek.ts'
export { refresh } from './refresh.ts'
export { attend } from './watching.ts'
