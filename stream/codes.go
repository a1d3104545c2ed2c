package stream

import (
	"strconv"

	"github.com/gorilla/websocket"
)

// The codes with which the server closes a connection. The package comment says
// what each means; below 4100 a client is to reconnect.
const (
	CodeRestarting      = websocket.CloseServiceRestart
	CodeSlow            = 4001
	CodeNoPong          = 4002
	CodeInternal        = 4003
	CodeBadMessage      = 4100
	CodeMessageTooBig   = 4101
	CodeTooManyMessages = 4102
	CodeNotAllowed      = 4103
)

// reasons are what the close frame says. Each tells whether to reconnect, for
// those who see it in a console.
var reasons = map[int]string{
	CodeRestarting:      "server restarting: reconnect",
	CodeSlow:            "too slow: reconnect",
	CodeNoPong:          "no answer to pings: reconnect",
	CodeInternal:        "internal error: reconnect later",
	CodeBadMessage:      "bad message: do not reconnect",
	CodeMessageTooBig:   "message too big: do not reconnect",
	CodeTooManyMessages: "too many messages: do not reconnect",
	CodeNotAllowed:      "no longer allowed: do not reconnect",
}

func codeLabel(code int) string { return strconv.Itoa(code) }
