import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import type { Clock } from './clock.js'
import { Feed } from './feed.js'

/** Numbers of a process at one time, and how they changed since the sample before. */
export interface Sample {
  /** Milliseconds since 1970. */
  readonly at: number
  /** Per second, of what only grows; empty in a first sample. */
  readonly rates: Readonly<Record<string, number>>
  /** Bytes. */
  readonly memory: Readonly<Record<'rss' | 'heapTotal' | 'heapUsed' | 'external' | 'arrayBuffers', number>>
  /** How late timers ran, and the part of the time in which the loop did something. */
  readonly loop: Readonly<Record<'meanMs' | 'p50Ms' | 'p99Ms' | 'maxMs' | 'utilization', number>>
  /** Cores in use. */
  readonly cpu: Readonly<Record<'user' | 'system', number>>
}

/** Milliseconds between two samples, and from the last question to the end of sampling. */
const EVERY_MS = 1000
const WANTED_MS = 10_000
/** Milliseconds of the timer by whose lateness the loop is judged. */
const RESOLUTION_MS = 10

/** Takes a sample a second while somebody looks, and costs nothing otherwise. */
export class Sampler {
  private latest: Sample | undefined
  private before: { at: number; numbers: Readonly<Record<string, number>>; cpu: NodeJS.CpuUsage } | undefined
  private wantedUntil = 0
  private readonly listeners = new Map<Feed, (sample: Sample) => void>()
  private cancel: (() => void) | undefined
  private readonly delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  private utilization = performance.eventLoopUtilization()

  /** `numbers` are what grows. */
  constructor(
    private readonly clock: Clock,
    private readonly numbers: () => Readonly<Record<string, number>>,
  ) {}

  get isSampling(): boolean {
    return this.cancel !== undefined
  }

  /** The newest sample, at most a second old. */
  look(): Sample {
    this.wantedUntil = this.clock.now() + WANTED_MS
    return this.current()
  }

  /** Every sample as `make` tells it, the first at once. A slow reader misses some. */
  follow(make: (sample: Sample) => unknown): Feed {
    const feed = new Feed(this.clock, { room: 3, gatherMs: 0 })
    const first = this.current()
    const tell = (sample: Sample) => void feed.offer('sample', () => ({ event: 'sample', data: make(sample) }))
    this.listeners.set(feed, tell)
    feed.closed(() => this.listeners.delete(feed))
    tell(first)
    return feed
  }

  /** Ends all feeds and the sampling. */
  stop(): void {
    for (const feed of [...this.listeners.keys()]) feed.close()
    this.rest()
  }

  private current(): Sample {
    if (this.latest === undefined || this.cancel === undefined) {
      this.delay.enable()
      this.delay.reset()
      this.utilization = performance.eventLoopUtilization()
      this.before = undefined
      this.latest = this.take()
      this.next()
    }
    return this.latest
  }

  private next(): void {
    this.cancel = this.clock.after(EVERY_MS, () => {
      if (this.listeners.size === 0 && this.clock.now() >= this.wantedUntil) {
        this.rest()
        return
      }
      this.latest = this.take()
      for (const tell of this.listeners.values()) tell(this.latest)
      this.next()
    })
  }

  private rest(): void {
    this.cancel?.()
    this.cancel = undefined
    this.delay.disable()
  }

  private take(): Sample {
    const { clock, before } = this
    const now = { at: clock.now(), numbers: this.numbers(), cpu: process.cpuUsage() }
    const seconds = before === undefined ? 0 : (now.at - before.at) / 1000
    this.before = now
    const { rss, heapTotal, heapUsed, external, arrayBuffers } = process.memoryUsage()
    return {
      at: clock.wall(),
      rates: before === undefined || seconds <= 0 ? {} : rates(before.numbers, now.numbers, seconds),
      memory: { rss, heapTotal, heapUsed, external, arrayBuffers },
      loop: this.loop(),
      cpu: before === undefined || seconds <= 0 ? { user: 0, system: 0 } : cores(before.cpu, now.cpu, seconds),
    }
  }

  private loop(): Sample['loop'] {
    const since = performance.eventLoopUtilization(this.utilization)
    this.utilization = performance.eventLoopUtilization()
    const { delay } = this
    const loop = {
      meanMs: late(delay.mean),
      p50Ms: late(delay.percentile(50)),
      p99Ms: late(delay.percentile(99)),
      maxMs: late(delay.max),
      utilization: rounded(since.utilization),
    }
    delay.reset()
    return loop
  }
}

/** What node measures is the whole interval, in ns; without a measurement it is no number, or 0. */
const late = (ns: number) => (Number.isFinite(ns) ? rounded(Math.max(0, ns / 1e6 - RESOLUTION_MS)) : 0)

const rounded = (value: number) => Math.round(value * 1000) / 1000

function rates(
  before: Readonly<Record<string, number>>,
  now: Readonly<Record<string, number>>,
  seconds: number,
): Record<string, number> {
  return Object.fromEntries(
    Object.entries(now).map(([name, value]) => [name, rounded((value - (before[name] ?? value)) / seconds)]),
  )
}

function cores(before: NodeJS.CpuUsage, now: NodeJS.CpuUsage, seconds: number): Sample['cpu'] {
  const part = (from: number, to: number) => rounded((to - from) / 1e6 / seconds)
  return { user: part(before.user, now.user), system: part(before.system, now.system) }
}
