// A worker beside the page. The page's timer tells it every second that it lives; when that stops for 30 s, a job of the timer
// fails or the page hung, and the worker asks for a reload, which happens as soon as the page can do anything at all.
let heard = Date.now()
let silentChecks = 0

onmessage = () => { heard = Date.now() }

setInterval(() => {
  // After a sleep of the machine everything looks silent once; only a second check in a row counts.
  silentChecks = Date.now() - heard > 30_000 ? silentChecks + 1 : 0
  if (silentChecks > 1) postMessage('reload')
}, 5_000)
