package engine

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// The ports are chosen below the ranges from which Linux (32768 up) and macOS (49152 up) take
// the ports of outgoing connections. Inside them a client that reconnects while the engine is
// down could be given the engine's own port, connect to itself and keep it taken.
const (
	lowestPort  = 20000
	highestPort = 32000
)

// freePort returns a loopback port that nobody listens on, other than taken.
func freePort(taken int) (int, error) {
	for range 100 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		if port == taken {
			continue
		}
		listener, err := net.Listen("tcp", loopback(port))
		if err != nil {
			continue
		}
		listener.Close()
		return port, nil
	}
	return 0, fmt.Errorf("no free port between %d and %d on 127.0.0.1", lowestPort, highestPort)
}

func loopback(port int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}
