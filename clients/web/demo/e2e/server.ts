// The real server, as a process that can be killed and started again on the same ports.

import { type ChildProcess, type ChildProcessByStdio, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { Writable } from 'node:stream'
import { promisify } from 'node:util'
import { UdpProxy } from './udp.ts'

const run = promisify(execFile)

/** The built page. */
const PAGE = resolve(import.meta.dirname, '../dist')

/** In the directory of the server. */
const CONFIG = 'loquic.toml'
const DATA = 'data'

/** What tokens are checked with, where the configuration says `token.secret`. */
const TOKEN_KEY = 'nothing that is secret, and 32 bytes long at least'

interface Ready {
  quic: string[]
  http: string[]
}

/** A record as `loquic sub --json` prints it. */
export interface Printed {
  offset: number
  sender: string
  payload: string
}

/** What is not as always. */
export interface ServerOptions {
  /** Configuration, as TOML. */
  config?: string
  /** WebTransport goes through a proxy, which pages are told of in place of the server. */
  proxied?: boolean
  /** The directory of the page. */
  page?: string
}

export class Server {
  /** Where WebTransport goes through. */
  readonly udp: UdpProxy | undefined
  readonly #page: string
  readonly #binary: string
  readonly #dir: string
  #process: ChildProcess | undefined
  #ready: Ready = { quic: ['127.0.0.1:0'], http: ['127.0.0.1:0'] }

  private constructor(binary: string, dir: string, page: string, udp: UdpProxy | undefined) {
    this.#binary = binary
    this.#dir = dir
    this.#page = page
    this.udp = udp
  }

  static async create({ config = '', proxied = false, page = PAGE }: ServerOptions = {}): Promise<Server> {
    const target = process.env['CARGO_TARGET_DIR']
    const binary = process.env['LOQUIC_BIN'] ?? (target && join(target, 'release/loquic'))
    if (!binary) throw new Error('LOQUIC_BIN or CARGO_TARGET_DIR must say where the server is')
    const dir = await mkdtemp(join(tmpdir(), 'loquic-e2e-'))
    const udp = proxied ? await UdpProxy.open() : undefined
    const advertise = udp === undefined ? '' : `[advertise]\nwebtransport = ["https://127.0.0.1:${udp.port}/v1"]\n`
    await writeFile(join(dir, 'token.secret'), TOKEN_KEY)
    await writeFile(join(dir, CONFIG), `${advertise}${config}`)
    return new Server(resolve(binary), dir, page, udp)
  }

  /** Starts it, or starts it again where it was. */
  async start(): Promise<void> {
    const [quic, http] = [this.#ready.quic[0] ?? '', this.#ready.http[0] ?? '']
    const listen = ['--listen', quic, '--http-listen', http, '--ops-listen', '127.0.0.1:0']
    const where = ['--config', CONFIG, '--data-dir', DATA, '--demo-dir', this.#page, '--log-level', 'error']
    const args = ['serve', '--dev', ...where, ...listen]
    const child = spawn(this.#binary, args, { cwd: this.#dir, stdio: ['ignore', 'pipe', 'inherit'] })
    this.#process = child
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
    this.#ready = JSON.parse(line) as Ready
    this.udp?.lead(Number(this.#ready.quic[0]?.split(':').at(-1)))
  }

  /** No goodbye, nothing is flushed. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** As an operator stops it: sessions are told first. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  async remove(): Promise<void> {
    await this.kill()
    this.udp?.close()
    await rm(this.#dir, { recursive: true, force: true })
  }

  /** Throws the development certificates away: the next start makes others. */
  async forgetCertificates(): Promise<void> {
    const dir = join(this.#dir, 'certs')
    const files = await readdir(dir)
    if (files.length === 0) throw new Error('there are no certificates to throw away')
    for (const file of files) await rm(join(dir, file))
  }

  /** `localhost` and not the address: that is what browsers let talk to a loopback address. */
  get origin(): string {
    return `http://localhost:${this.#ready.http[0]?.split(':').at(-1)}`
  }

  /** The page, in a room, over any transport or this one. */
  page(room: string, name: string, transport = 'auto'): string {
    return `${this.origin}/?room=${room}&name=${name}&from=oldest&transport=${transport}`
  }

  /** What a native client sees of the room. */
  async read(room: string): Promise<Printed[]> {
    const where = ['--url', `https://${this.#ready.quic[0]}`, '--insecure', '--json']
    const args = ['sub', room, '--from', 'oldest', '--until-caught-up', ...where]
    const { stdout } = await run(this.#binary, args, { cwd: this.#dir, maxBuffer: 64 << 20 })
    return parse(stdout)
  }

  /** What is in the log, while the server is not running. */
  async cat(room: string): Promise<Printed[]> {
    const args = ['log', 'cat', room, '--data-dir', DATA, '--json']
    return parse((await run(this.#binary, args, { cwd: this.#dir, maxBuffer: 64 << 20 })).stdout)
  }

  /** A token with these rights, like `chat:**=read,publish`, that is checked with the key in `TOKEN_KEY`. */
  async token(user: string, rights: string, key = TOKEN_KEY): Promise<string> {
    const file = join(this.#dir, 'mint.secret')
    await writeFile(file, key)
    const args = ['token', 'mint', '--user', user, '--room', rights, '--key-file', file]
    return (await run(this.#binary, args)).stdout.trim()
  }

  /** Publishes over HTTP, for texts that no command line takes. */
  async post(room: string, text: string): Promise<void> {
    const headers = { 'content-type': 'text/plain; charset=utf-8', 'loquic-name': 'mallory' }
    const response = await fetch(`${this.origin}/v1/rooms/${room}/records`, { method: 'POST', headers, body: text })
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`)
  }

  /** A native client publishes a line. */
  async publish(room: string, text: string): Promise<void> {
    const args = ['pub', room, text, '--url', `https://${this.#ready.quic[0]}`, '--insecure', '--name', 'native']
    await run(this.#binary, args, { cwd: this.#dir })
  }

  /** A native client that publishes each line of its input. */
  publisher(room: string): ChildProcessByStdio<Writable, null, null> {
    const args = ['pub', room, '-', '--url', `https://${this.#ready.quic[0]}`, '--insecure', '--name', 'native']
    return spawn(this.#binary, args, { cwd: this.#dir, stdio: ['pipe', 'ignore', 'inherit'] })
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
  }
}

function parse(lines: string): Printed[] {
  return lines.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line) as Printed)
}
