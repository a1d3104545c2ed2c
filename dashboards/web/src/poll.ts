// Questions to the HTTP API that are asked again and again, driven by the page's one timer.
import { get, needsKey, Refused } from './access'
import { options } from './options'

interface Job {
  path: () => string
  every: number
  due: number
  busy: boolean
  apply: (answer: never) => void
  failed?: (status: number) => void
}

const jobs: Job[] = []
const most = 3
let running = 0

/**
 * Asks a path every so many seconds. The path is made anew each time; an empty one skips the turn. What cannot be
 * answered (400, 403, 404) is asked again only after ten minutes. Called only while the page starts.
 */
export function poll<T>(every: number, path: () => string, apply: (answer: T) => void, failed?: (status: number) => void): void {
  jobs.push({ path, every: every * 1000, due: 0, busy: false, apply, failed })
}

/** Asks what is due; called every second. */
export function tickPolls(): void {
  if (needsKey.value) return
  const at = Date.now()
  for (const job of jobs) {
    if (running >= most) return
    if (job.busy || at < job.due) continue
    const path = job.path()
    if (path === '') continue
    void ask(job, path)
  }
}

async function ask(job: Job, path: string): Promise<void> {
  job.busy = true
  running++
  let wait = job.every
  try {
    job.apply((await get(path)) as never)
  } catch (problem) {
    const status = problem instanceof Refused ? problem.status : -1
    wait = status === 400 || status === 403 || status === 404 ? 600_000 : Math.min(job.every, 15_000)
    job.failed?.(status)
  }
  running--
  job.busy = false
  // A little jitter, so that forty walls of one server do not all ask at once.
  job.due = Date.now() + wait * (0.9 + Math.random() / 5)
  tickPolls()
}

/** The path of a KPI's answer, as of the moment of a replay where there is one. */
export function kpiPath(id: string, parameters: Record<string, string> = {}): string {
  const asked = new URLSearchParams(parameters)
  if (options.at) asked.set('at', options.at)
  const query = asked.toString()
  return '/api/v1/kpis/' + id + (query && '?' + query)
}
