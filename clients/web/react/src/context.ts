// Which client the hooks below use.

import type { Client } from '@loquic/client'
import { createContext, createElement, type ReactNode, useContext } from 'react'

const Context = createContext<Client | undefined>(undefined)

/** Gives its children a client. Who makes it also closes it: it outlives what is rendered. */
export function LoquicProvider({ client, children }: { client: Client; children?: ReactNode }): ReactNode {
  return createElement(Context, { value: client }, children)
}

/** The client of the nearest `LoquicProvider`. */
export function useClient(): Client {
  const client = useContext(Context)
  if (client === undefined) throw new Error('there is no <LoquicProvider client={…}> around this component')
  return client
}
