// What browser tests may look at, put there only when the address asks for it.
import * as format from './format'
import { alerts } from './alerts'
import { asOf, link } from './link'
import { byId, ranking } from './ranks'
import { all, scope, shown } from './values'

/** Puts window.__ioc = {format, state} there. Times are given to the formatter as RFC 3339. */
export function exposeForTests(): void {
  const at = (f: (ms: number, lang: 'vi' | 'en') => string) => (value: string, _unit: unknown, lang: 'vi' | 'en') => f(Date.parse(value), lang)
  const { wall, exact, prose } = format
  Object.assign(window, {
    __ioc: {
      format: {
        wall, exact, prose, change: format.change, age: (value: number, _unit: unknown, lang: 'vi' | 'en') => format.age(value, lang),
        time: at(format.time), date: at(format.date), day: at(format.day), minute: at(format.minute),
      },
      state: {
        link: () => link.value, scope: () => scope.value, shown: () => shown.value, asOf: () => asOf.value, ranking: () => ranking.value,
        values: () => Object.fromEntries(all()), alerts: () => alerts.value, province: (id: string) => byId.value.get(id),
      },
    },
  })
}
