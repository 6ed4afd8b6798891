// The golden vectors against the coding of wire.js. Patterns and slots are left out: clients need neither (section 4).

import * as wire from './wire.js'

/** Objects with the same fields in another order are equal. */
const sorted = (value) =>
  JSON.stringify(value, (_, inner) => {
    if (inner?.constructor !== Object) return inner
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
  })

export function equal(actual, expected, about) {
  const [left, right] = [sorted(actual), sorted(expected)]
  if (left !== right) throw new Error(`${about}: ${left}, expected ${right}`)
}

function codeOf(data) {
  const decoder = new wire.Decoder()
  const frames = []
  decoder.push(data)
  try {
    for (let next = decoder.next(); next !== undefined; next = decoder.next()) frames.push(next.frame)
    decoder.end()
  } catch (error) {
    if (!(error instanceof wire.Malformed)) throw error
    return { frames, code: error.code }
  }
  return { frames, code: null }
}

function checkFrame({ frame, kind, comment, hex, fields }) {
  const about = `${frame}, ${comment}`
  const expected = Object.fromEntries(fields.map(({ name, value }) => [name, value]))
  const data = wire.unhex(hex)
  if (kind === undefined) {
    equal(wire.decodeBody(frame, data), expected, about)
    equal(wire.hex(wire.encodeBody(frame, expected)), hex, about)
    return
  }
  const decoder = new wire.Decoder()
  decoder.push(data)
  equal(decoder.next(), { frame, fields: expected, size: data.length }, about)
  decoder.end()
  equal(wire.hex(wire.encode(frame, expected)), hex, about)
}

function checkVarints({ valid, invalid, truncated }) {
  for (const { hex, value } of valid) {
    equal(new wire.Reader(wire.unhex(hex)).varint(), value, 'varint')
    equal(wire.hex(wire.varint(value)), hex, 'varint')
  }
  const bad = [...invalid.map(({ hex }) => [hex, wire.Malformed]), ...truncated.map((hex) => [hex, wire.Truncated])]
  for (const [hex, expected] of bad) {
    let outcome
    try {
      outcome = new wire.Reader(wire.unhex(hex)).varint()
    } catch (error) {
      outcome = error
    }
    if (!(outcome instanceof expected)) throw new Error(`varint ${hex}: ${outcome}`)
  }
  return valid.length + bad.length
}

function checkNames(names) {
  const sorts = { rooms: wire.isRoom, users: wire.isUser, tenants: wire.isSegment }
  let count = 0
  for (const [sort, isName] of Object.entries(sorts)) {
    for (const verdict of ['valid', 'invalid']) {
      for (const entry of names[sort][verdict]) {
        equal(isName(entry.name ?? entry), verdict === 'valid', `${sort}, ${JSON.stringify(entry)}`)
        count += 1
      }
    }
  }
  return count
}

/** All of them, by the names of their files; how many there were. */
export function check(files) {
  const frames = ['control', 'join', 'watch', 'publish', 'read', 'datagram'].flatMap((file) => files[file].vectors)
  frames.forEach(checkFrame)
  for (const { hex, code, frames_before, comment } of files.malformed.streams) {
    equal(codeOf(wire.unhex(hex)), { frames: frames_before, code }, `malformed, ${comment}`)
  }
  const table = Object.entries(wire.FRAMES).map(([frame, [kind, body_bytes_max]]) => ({ body_bytes_max, frame, kind }))
  equal(table, files.limits.frames, 'limits')
  const codes = [...files.codes.codes, ...files.codes.unknown]
  for (const { code, action } of codes) equal(wire.action(code), action, `code ${code}`)
  const { valid, invalid } = files.positions
  for (const { text, epoch, offset } of valid) equal(wire.position(text), { epoch, offset }, `position ${text}`)
  for (const text of invalid) equal(wire.position(text), null, `position ${text}`)
  const others = [files.malformed.streams, files.limits.frames, codes, valid, invalid]
  const count = [frames, ...others].reduce((sum, list) => sum + list.length, 0)
  return count + checkVarints(files.varints) + checkNames(files.names)
}
