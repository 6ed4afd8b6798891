import { expect, it } from 'vitest'
import { parseInfo } from '../src/info.ts'

const hash = btoa('x'.repeat(32))

it('takes addresses and hashes', () => {
  const info = parseInfo({
    transports: { webtransport: ['https://127.0.0.1:4433/v1'], quic: [] },
    certificate_hashes: [hash, hash],
  }, false)
  expect(info.webtransport).toEqual(['https://127.0.0.1:4433/v1'])
  expect(info.hashes.map(({ length }) => length)).toEqual([32, 32])
})

it.each([
  [true, ['wss://a/v1/ws']],
  [false, ['ws://b/v1/ws']],
])('takes the WebSockets that a page may use (secure: %s)', (secure, wanted) => {
  const transports = { webtransport: [], websocket: ['wss://a/v1/ws', 'ws://b/v1/ws', 'http://c'] }
  expect(parseInfo({ transports }, secure).websocket).toEqual(wanted)
})

it.each([
  undefined,
  null,
  'text',
  {},
  { transports: [] },
  { transports: { webtransport: [] } },
  { transports: { webtransport: [17] } },
  { transports: { webtransport: ['https://a/v1'] }, certificate_hashes: ['?'] },
  { transports: { webtransport: ['https://a/v1'] }, certificate_hashes: [btoa('short')] },
])('refuses %j as an error of the connection, which is tried again', (json) => {
  expect(() => parseInfo(json, false)).toThrow(expect.objectContaining({ kind: 'connect', retryable: true }))
})
