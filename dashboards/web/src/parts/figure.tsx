// A number with its unit, and what says where it comes from.
import { day, exact, minute, prose, wall } from '../format'
import { shownNow } from '../clock'
import { isOfficial, isSimulated, officialOf } from '../origin'
import { lang, text } from '../text'
import type { Value } from '../values'

/** A number and its unit. Numbers are outputs that do not speak up: once a second would flood a reader. */
export function Figure({ value, unit, after }: { value: number | null | undefined; unit: string; after?: string }) {
  const figure = wall(value ?? null, unit, lang)
  return (
    <>
      <output aria-live="off">{figure.number}</output>
      {(figure.unit || after) && <span class="unit">{figure.unit || after}</span>}
    </>
  )
}

/** Says of a value that it is simulated, or that it is an official figure and nothing else. */
export function Tag({ value }: { value: Value | undefined }) {
  if (isSimulated(value)) return <span class="tag simulated">{text.tagSimulated}</span>
  if (isOfficial(value)) return <span class="tag official">{text.tagOfficial}</span>
  return null
}

/** The time that a value holds for: of today the time, of this year the day and month, else the date. */
export function asOfText(value: Value | undefined): string {
  // The date of an official figure stands in the line that says where it comes from.
  if (!value?.as_of || isOfficial(value)) return ''
  const at = Date.parse(value.as_of)
  const [its, today] = [day(at), day(shownNow())]
  return its === today ? minute(at) : its.slice(6) === today.slice(6) ? its.slice(0, 5) : its
}

/** The date of a value that is an official figure and nothing else; empty of others. */
export function officialDate(value: Value | undefined): string {
  const official = isOfficial(value) ? officialOf(value) : undefined
  return official ? dateOf(official.as_of) : ''
}

// "2024-11-22" or a longer moment, as "22/11/2024".
function dateOf(asOf: string): string {
  return asOf.length === 10 ? asOf.split('-').reverse().join('/') : day(Date.parse(asOf))
}

/** The newest official figure: how much, of when, from which paper. Of a short line the paper is left to the pointer. */
export function Official({ value, lines, short = false }: { value: Value | undefined; lines: 1 | 2; short?: boolean }) {
  const official = officialOf(value)
  if (!official) return null
  const qualifier = official.qualifier === 'over' ? text.over + ' ' : official.qualifier === 'nearly' ? text.nearly + ' ' : ''
  const counted = official.denominator && value?.unit === 'count' ? '/' + exact(official.denominator, 'count', lang) : ''
  // Official papers count money in tỷ: "3.500 tỷ đồng", not "3,5 nghìn tỷ đồng".
  const number = value?.unit === 'vnd' ? exact(official.value, 'vnd', lang).replace(/[.,]0 /, ' ') : prose(official.value, value?.unit ?? 'count', lang)
  const figure = qualifier + number + counted
  const where = dateOf(official.as_of) + (short ? '' : ' · ' + official.source)
  return (
    <p class={'official lines' + lines} title={official.source}>
      <span>{text.official} <output aria-live="off">{figure}</output></span>
      <span class="where">{where}</span>
    </p>
  )
}
