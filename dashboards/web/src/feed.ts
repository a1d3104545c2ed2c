// The client of the live feed: connects, subscribes, resumes, and asks for a fresh snapshot when a frame does not fit.
import { key } from './access'
import { afterClose, pause, type Beat, type Frame, type LateSource } from './frames'
import type { Value } from './values'

export interface Listener {
  /** Values of a scope; whole tells that they are all there are. */
  values(scope: string, values: Value[], whole: boolean): void
  beat(beat: Beat): void
  late(sources: LateSource[]): void
  /** Any frame at all: the server is there. */
  heard(serverTime?: string): void
  /** The connection ended; again tells whether it will be tried anew. */
  ended(code: number, again: boolean): void
}

interface Channel {
  scope: string
  epoch: string
  offset: number
  /** A subscription was sent, and its answer has not come. */
  waiting: boolean
}

const board = 'overview'

export class Feed {
  private socket: WebSocket | undefined
  private channels: Channel[]
  private attempt = 0
  private heartbeat = 2000
  private lastFrame = 0
  private retryAt = Infinity

  constructor(private url: string, scopes: readonly string[], private listener: Listener) {
    this.channels = scopes.map(scope => ({ scope, epoch: '', offset: 0, waiting: false }))
  }

  /** Connects now. */
  connect(): void {
    this.retryAt = Infinity
    this.lastFrame = Date.now()
    const token = key()
    const socket = new WebSocket(this.url, token ? ['ioc.v1', 'ioc.token.' + token] : ['ioc.v1'])
    this.socket = socket
    socket.onmessage = event => { if (socket === this.socket) this.receive(event.data) }
    socket.onclose = event => { if (socket === this.socket) this.closed(event.code) }
  }

  /** Looks after the connection; called every second. */
  tick(): void {
    const at = Date.now()
    if (at >= this.retryAt) return this.connect()
    // Three heartbeats without a frame: a half-open connection never says so itself.
    if (this.socket && at - this.lastFrame > 3 * this.heartbeat) {
      const socket = this.socket
      this.closed(1006)
      socket.close()
    }
  }

  private closed(code: number): void {
    this.socket = undefined
    const wait = afterClose(code)
    if (wait !== 'never') this.retryAt = Date.now() + (wait ?? pause(this.attempt++))
    for (const channel of this.channels) channel.waiting = false
    this.listener.ended(code, wait !== 'never')
  }

  private receive(data: unknown): void {
    let frame: Frame
    try {
      frame = JSON.parse(String(data)) as Frame
    } catch {
      return this.socket?.close()
    }
    this.lastFrame = Date.now()
    this.listener.heard('server_time' in frame ? frame.server_time : undefined)
    switch (frame.type) {
      case 'hello':
        if (frame.protocol !== 1) return
        this.heartbeat = frame.heartbeat_ms || 2000
        for (const channel of this.channels) this.subscribe(channel, true)
        return
      case 'beat':
        this.attempt = 0 // A connection that lives to its first beat is a good one.
        return this.listener.beat(frame)
      case 'late':
        return this.listener.late(frame.sources ?? [])
      case 'error':
        // What the server does not give is not asked for again.
        if (frame.scope && /^(unknown|forbidden|too_many)/.test(frame.code)) this.channels = this.channels.filter(c => c.scope !== frame.scope)
        return
    }
    const channel = this.channels.find(c => c.scope === frame.scope && frame.board === board)
    if (channel) this.apply(channel, frame)
  }

  private apply(channel: Channel, frame: Extract<Frame, { type: 'snapshot' | 'resumed' | 'delta' }>): void {
    if (frame.type === 'delta') {
      if (channel.waiting) return
      const fits = frame.offset === channel.offset + 1 || (frame.conflated === true && frame.offset > channel.offset)
      if (!fits) return this.subscribe(channel, false)
      channel.offset = frame.offset
      return this.listener.values(channel.scope, frame.values, false)
    }
    channel.waiting = false
    channel.epoch = frame.epoch
    channel.offset = frame.offset
    if (frame.type === 'snapshot') this.listener.values(channel.scope, frame.values, true)
  }

  private subscribe(channel: Channel, mayResume: boolean): void {
    const resume = mayResume && channel.epoch !== '' ? { epoch: channel.epoch, offset: channel.offset } : undefined
    channel.waiting = true
    this.socket?.send(JSON.stringify({ type: 'subscribe', board, scope: channel.scope, resume }))
  }
}
