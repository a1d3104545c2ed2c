// Numbers, times and ages as people read them. The golden file format.golden.json
// says what each must look like; the Go package internal/figure passes the same file.
import type { Lang } from './options'

export interface Figure {
  number: string
  unit: string
}

type Scale = readonly [size: number, vi: string, en: string]

const money: readonly Scale[] = [
  [1e15, 'triệu tỷ đồng', 'quadrillion VND'],
  [1e12, 'nghìn tỷ đồng', 'trillion VND'],
  [1e9, 'tỷ đồng', 'billion VND'],
  [1e6, 'triệu đồng', 'million VND'],
]
const counts: readonly Scale[] = [
  [1e15, 'triệu tỷ', 'quadrillion'],
  [1e12, 'nghìn tỷ', 'trillion'],
  [1e9, 'tỷ', 'billion'],
  [1e6, 'triệu', 'million'],
]
const units: Record<string, readonly [string, string]> = {
  vnd: ['đồng', 'VND'],
  ratio: ['%', '%'],
  ms: ['ms', 'ms'],
  s: ['giây', 's'],
  points: ['điểm', 'points'],
  working_day: ['ngày làm việc', 'working days'],
}
const zone = 7 * 3600 * 1000
export const missing = '–'

/** Writes a number with the digits after the comma that are asked for, grouped by thousands. */
export function decimal(value: number, digits: number, lang: Lang): string {
  const [group, comma] = lang === 'vi' ? ['.', ','] : [',', '.']
  const [whole, part] = Math.abs(value).toFixed(digits).split('.') as [string, string?]
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, group)
  const text = part ? grouped + comma + part : grouped
  return value < 0 && /[1-9]/.test(text) ? '−' + text : text
}

// Scaled numbers never show more than two decimals: "3,124" reads as three thousand to a hurried eye.
function scaled(value: number, scales: readonly Scale[], lang: Lang): Figure | undefined {
  const size = Math.abs(value)
  for (let i = 0; i < scales.length; i++) {
    const [unit, vi, en] = scales[i]!
    // What would round to 1000 is one of the next unit.
    const next = i > 0 && Number((size / unit).toFixed(1)) >= 1000
    if (next) return { number: decimal(Math.sign(value), 2, lang), unit: scales[i - 1]![lang === 'vi' ? 1 : 2] }
    if (size >= unit) return { number: decimal(value / unit, size / unit >= 99.995 ? 1 : 2, lang), unit: lang === 'vi' ? vi : en }
  }
  return undefined
}

/** The number of a tile and its unit. */
export function wall(value: number | null, unit: string, lang: Lang): Figure {
  if (value === null) return { number: missing, unit: '' }
  const named = units[unit]?.[lang === 'vi' ? 0 : 1] ?? ''
  const plain = (digits: number, v = value): Figure => ({ number: decimal(v, digits, lang), unit: named })
  switch (unit) {
    case 'ratio': return plain(1, value * 100)
    case 'vnd': return scaled(value, money, lang) ?? plain(0)
    case 's': return plain(Math.abs(value) < 99.95 ? 1 : 0)
    case 'points': return plain(2)
    case 'working_day': return plain(1)
    case 'count': return (Math.abs(value) >= 1e7 ? scaled(value, counts, lang) : undefined) ?? plain(0)
  }
  return plain(0)
}

/** The exact line under a number. */
export function exact(value: number | null, unit: string, lang: Lang): string {
  if (value === null) return missing
  if (unit === 'count') return decimal(value, 0, lang)
  if (unit === 'vnd' && Math.abs(value) >= 1e6) {
    const [size, vi, en] = money[Math.abs(value) >= 1e9 ? 2 : 3]!
    return decimal(value / size, 1, lang) + ' ' + (lang === 'vi' ? vi : en)
  }
  return join(wall(value, unit, lang))
}

/** A number within a sentence: the wall's, without zeros at its end. */
export function prose(value: number | null, unit: string, lang: Lang): string {
  const figure = wall(value, unit, lang)
  const zeros = lang === 'vi' ? /,0+$|(,\d)0$/ : /\.0+$|(\.\d)0$/
  return join({ number: figure.number.replace(zeros, '$1'), unit: figure.unit })
}

/** The size of a change, without its sign: percentage points of a ratio, else percent. */
export function change(value: number, unit: 'ratio' | 'percent', lang: Lang): string {
  const text = decimal(Math.abs(value) * 100, 1, lang)
  if (unit === 'percent') return text + '%'
  return text + (lang === 'vi' ? ' điểm' : ' points')
}

/** A number with its unit; only the percent sign stands close. */
export function join(figure: Figure): string {
  return figure.unit === '' || figure.unit === '%' ? figure.number + figure.unit : figure.number + ' ' + figure.unit
}

/** A length of time in its largest whole unit. */
export function age(seconds: number, lang: Lang): string {
  const steps: readonly [number, string, string][] = [[86400, 'ngày', 'day'], [3600, 'giờ', 'hour'], [60, 'phút', 'minute'], [1, 'giây', 'second']]
  const whole = Math.max(0, Math.floor(seconds))
  const [size, vi, en] = steps.find(([size]) => whole >= size) ?? steps[3]!
  const n = Math.floor(whole / size)
  return decimal(n, 0, lang) + ' ' + (lang === 'vi' ? vi : n === 1 ? en : en + 's')
}

const weekdays = {
  vi: ['Chủ Nhật', 'Thứ Hai', 'Thứ Ba', 'Thứ Tư', 'Thứ Năm', 'Thứ Sáu', 'Thứ Bảy'],
  en: ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'],
}

// Parts of a moment in Asia/Ho_Chi_Minh, which has had the offset +07:00 since 1975.
function local(ms: number): string {
  return new Date(ms + zone).toISOString()
}

/** Milliseconds of a moment as "10:42:17". */
export const time = (ms: number): string => local(ms).slice(11, 19)
/** Milliseconds of a moment as "10:42". */
export const minute = (ms: number): string => local(ms).slice(11, 16)
/** Milliseconds of a moment as "21/11/2026". */
export const day = (ms: number): string => local(ms).slice(0, 10).split('-').reverse().join('/')
/** Milliseconds of a moment as "Thứ Bảy, 21/11/2026". */
export const date = (ms: number, lang: Lang): string => weekdays[lang][new Date(ms + zone).getUTCDay()] + ', ' + day(ms)
/** The month of a moment, from 1. */
export const month = (ms: number): number => Number(local(ms).slice(5, 7))
/** The first millisecond of the day of a moment. */
export const dayStart = (ms: number): number => Math.floor((ms + zone) / 86_400_000) * 86_400_000 - zone
/** The date of a moment as the API takes it, "2026-11-21". */
export const isoDay = (ms: number): string => local(ms).slice(0, 10)
