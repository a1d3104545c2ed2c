package kafkatest_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ioc.local/internal/broker/kafkatest"
)

// victimEnv makes TestVictimRealKafka start a broker and wait to be killed.
const victimEnv = "IOC_TEST_VICTIM"

// TestDiesWithTestRealKafka kills a test process that runs Kafka: Kafka must go
// too, or every interrupted run leaves a JVM behind.
func TestDiesWithTestRealKafka(t *testing.T) {
	if os.Getenv(kafkatest.HomeEnv) == "" {
		t.Skipf("%s is not set", kafkatest.HomeEnv)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestVictimRealKafka$", "-test.v")
	cmd.Env = append(os.Environ(), victimEnv+"=1", "TMPDIR="+t.TempDir())
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var addr string
	for lines := bufio.NewScanner(stdout); addr == "" && lines.Scan(); {
		addr, _ = strings.CutPrefix(lines.Text(), "listening on ")
		if addr == lines.Text() {
			addr = ""
		}
	}
	if addr != "" && !listening(addr) {
		t.Errorf("nothing listens on %s", addr)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was killed
	if addr == "" {
		t.Fatal("the test process did not say where Kafka listens")
	}
	for deadline := time.Now().Add(20 * time.Second); listening(addr); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("Kafka still listens on %s after its test was killed", addr)
		}
	}
}

func TestVictimRealKafka(t *testing.T) {
	if os.Getenv(victimEnv) == "" {
		t.Skip("runs as a part of TestDiesWithTestRealKafka")
	}
	fmt.Printf("listening on %s\n", kafkatest.Start(t, nil))
	_, _ = os.Stdin.Read(make([]byte, 1)) // until it is killed
}

func listening(addr string) bool {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
