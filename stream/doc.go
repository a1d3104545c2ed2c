// Package stream is the live feed: GET /api/v1/live, a websocket that carries the
// KPIs of boards as they change. What it sends are the evaluator's publications,
// so its numbers are those of the HTTP API at the same revision, to the last digit.
//
// # Who may connect
//
// A client shows its key in Authorization: Bearer, or, where it is a page and cannot, among the subprotocols that it
// offers: ioc.v1 and ioc.token. with the key after it. The server answers with ioc.v1 only. Where access.loopback
// permits it, clients of this machine need no key.
//
// # Protocol, version 1
//
// Every message is one JSON object in a text message, with the member type.
// Members that a client does not know are to be ignored: more may come.
//
// The server speaks first:
//
//	hello      {protocol, epoch, heartbeat_ms, server_time}
//
// epoch names this run of the server: offsets mean something only within it.
//
// The client asks for boards, each at a scope, and may give one up:
//
//	subscribe    {board, scope, resume: {epoch, offset}}
//	unsubscribe  {board, scope}
//
// A board is a named list of KPIs. A scope is "national", "province:79" (a code
// of the 34-scheme) or "provinces": each province by itself, in one channel whose
// values say in the member province which one they are of. National totals are for
// everybody, a province for those whose scope holds it, provinces for those whose
// scope is national. resume is optional: the epoch of the last snapshot or resumed
// frame and the offset of the last frame of this board and scope. Subscribing again
// to what one is subscribed to starts anew, which is what to do after a frame that
// does not fit.
//
// The answer is exactly one of
//
//	snapshot   {board, scope, epoch, offset, as_of, values}
//	resumed    {board, scope, epoch, offset, as_of}
//	error      {code, detail, fatal, board, scope}
//
// A snapshot is the whole state at its offset. resumed says that the state that
// the client has, at the offset that it gave, is still good: the deltas it missed
// follow, with none left out. When a delta is no longer kept, or the epoch is another,
// the answer is a snapshot. Nothing in between happens.
//
// From then on, whenever something changed,
//
//	delta      {board, scope, offset, as_of, values, conflated}
//
// carries the values that changed, each whole, to be put in place of the one
// with the same kpi, period and province. Values that are not in it stay as they were.
// Offsets of a board and scope are consecutive. A frame with "conflated": true was
// merged from several for a client that reads too slowly: it holds the newest of
// each value, and its offset is the newest. So a delta fits when its offset is
// one more than the last, or when it is conflated and its offset is higher.
//
// as_of is the watermark of the publication, null before the first. A value is an
// object with kpi and period (as asked, for example "today"), province where the
// scope is provinces, and these members of an answer of the HTTP API, written in the same way: unit, as_of, revision, value, numerator, denominator, baseline, target,
// status, coverage, definition and exact; notes are the codes of the notes, and left out where there are none.
// A value is sent again when any of them changes but revision: what it says of an
// older revision is still true of the newer one. A KPI whose value is not known yet is not in values. One
// that cannot be evaluated for a while stays as it was; its as_of tells its age.
//
// Every heartbeat_ms there is
//
//	beat       {server_time, watermark, published_at, caught_up}
//
// published_at is the time of the last evaluation, null before the first; caught_up
// tells whether ingestion has read all that Kafka has, null where it is not known.
// A client that sees no frame for three heartbeats should connect anew.
//
//	late       {sources: [{source, since}]}
//
// names the sources that should have been heard of and were not; it is sent when
// that changes and to each new client while there are any. An empty list means that
// all is well again. The source "evaluator" is this server's own evaluation.
//
// An error that is not fatal answers one message: unknown_board, unknown_scope,
// forbidden_scope, too_many_subscriptions, not_subscribed. After a fatal one the connection closes.
// No other message is expected from a client than those above; each is at most 4 KiB.
//
// # Close codes
//
//	code  reason                  reconnect
//	1012  server restarting       yes, after a random time of up to 5 s; offsets are gone
//	4001  too slow                yes, with resume: a write took too long; when it never ends, the connection breaks without a code (1006)
//	4002  no answer to pings      yes, with resume
//	4003  internal error          yes, after 5 s; also when keys cannot be checked for too long
//	4100  bad message             no: it was not JSON, unknown, or of another shape than above
//	4101  message too big         no: it was over 4 KiB
//	4102  too many messages       no: more than 10 a second for some time
//	4103  no longer allowed       no: the key was revoked or has expired
//
// So: 1012 and 40xx are to reconnect, 41xx are not, since the same would happen
// again. Any other end (1006, a broken network) is to reconnect, with growing pauses.
//
// Before the connection is upgraded, refusals are HTTP statuses with a problem document: 401 without a
// good key, 403 for an Origin that is not allowed, 503 with Retry-After when there
// are too many connections or the server is stopping.
package stream
