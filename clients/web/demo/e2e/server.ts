// The real server, as a process that can be killed and started again on the same ports.

import { type ChildProcess, type ChildProcessByStdio, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { Writable } from 'node:stream'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** The built page. */
const PAGE = resolve(import.meta.dirname, '../dist')

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

export class Server {
  readonly #binary: string
  readonly #dir: string
  #process: ChildProcess | undefined
  #ready: Ready = { quic: ['127.0.0.1:0'], http: ['127.0.0.1:0'] }

  private constructor(binary: string, dir: string) {
    this.#binary = binary
    this.#dir = dir
  }

  static async create(): Promise<Server> {
    const target = process.env['CARGO_TARGET_DIR']
    const binary = process.env['LOQUIC_BIN'] ?? (target && join(target, 'release/loquic'))
    if (!binary) throw new Error('LOQUIC_BIN or CARGO_TARGET_DIR must say where the server is')
    return new Server(resolve(binary), await mkdtemp(join(tmpdir(), 'loquic-e2e-')))
  }

  /** Starts it, or starts it again where it was. */
  async start(): Promise<void> {
    const [quic, http] = [this.#ready.quic[0] ?? '', this.#ready.http[0] ?? '']
    const listen = ['--listen', quic, '--http-listen', http, '--ops-listen', '127.0.0.1:0']
    const args = ['serve', '--dev', '--data-dir', 'data', ...listen, '--demo-dir', PAGE]
    const child = spawn(this.#binary, args, { cwd: this.#dir, stdio: ['ignore', 'pipe', 'inherit'] })
    this.#process = child
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string]
    this.#ready = JSON.parse(line) as Ready
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
    await rm(this.#dir, { recursive: true, force: true })
  }

  /** Throws the development certificates away: the next start makes others. */
  async forgetCertificates(): Promise<void> {
    const dir = join(this.#dir, 'certs')
    const files = await readdir(dir)
    if (files.length === 0) throw new Error('there are no certificates to throw away')
    for (const file of files) await rm(join(dir, file))
  }

  page(room: string, name: string): string {
    // `localhost` and not the address: that is what browsers let talk to a loopback address.
    const port = this.#ready.http[0]?.split(':').at(-1)
    return `http://localhost:${port}/?room=${room}&name=${name}&from=oldest`
  }

  /** What a native client sees of the room. */
  async read(room: string): Promise<Printed[]> {
    const where = ['--url', `https://${this.#ready.quic[0]}`, '--insecure', '--json']
    const args = ['sub', room, '--from', 'oldest', '--until-caught-up', ...where]
    const { stdout } = await run(this.#binary, args, { cwd: this.#dir, maxBuffer: 64 << 20 })
    return stdout.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line) as Printed)
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
