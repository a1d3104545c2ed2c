// The form for a key, shown when the server asks for one.
import { signal } from '@preact/signals'
import { keep, key } from '../access'
import { forget } from '../saved'
import { text } from '../text'

const wrong = signal(false)

function submit(event: Event): void {
  event.preventDefault()
  const typed = new FormData(event.target as HTMLFormElement).get('key')
  const value = typeof typed === 'string' ? typed.trim() : ''
  // A key is sent as a websocket protocol, which takes no other characters.
  if (!/^[\w.~-]{8,200}$/.test(value)) {
    wrong.value = true
    return
  }
  keep(value)
  forget()
  location.reload()
}

export function SignIn() {
  return (
    <main class="signin">
      <form onSubmit={submit} class="panel">
        <h1>{text.signTitle}</h1>
        <p>{text.signText}</p>
        <label for="key">{text.signKey}</label>
        <input id="key" name="key" type="password" autocomplete="off" autofocus required aria-invalid={wrong.value || key() !== ''} />
        {(wrong.value || key() !== '') && <p class="bad" role="alert">{text.signWrong}</p>}
        <button type="submit">{text.signButton}</button>
      </form>
    </main>
  )
}
