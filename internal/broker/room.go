package broker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// lookInterval is how long a look at the free space is good for. It is one cheap system call, so that producers at full
// speed cannot write much between two of them.
const lookInterval = 50 * time.Millisecond

// spare is the part of the floor that commits and memberships are refused below. Records stop far above it, so that
// those who have read on can say so.
const spare = 4

// stateFiles are rewritten whole when the broker stops.
var stateFiles = []string{"groups.log", "pids.log", "topics.json"}

// room keeps the disk of the data directory from becoming full, because kfake acknowledges commits that it could not
// write, and what it writes after a write that was cut short is not read back.
type room struct {
	dir       string
	floor     uint64
	free      func(dir string) (uint64, error)
	freeBytes prometheus.Gauge
	refusing  prometheus.Gauge

	mu      sync.Mutex
	looked  time.Time
	left    uint64
	unknown error // why the free space is not known; then nothing is refused for it
	failed  error // a write that the disk refused
	renewal bool  // the state is being written anew
}

func newRoom(cfg Config, deps Deps) (*room, error) {
	r := &room{dir: cfg.Dir, floor: uint64(cfg.MinFreeBytes), free: deps.Free,
		freeBytes: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ioc_broker_disk_free_bytes", Help: "Free space of the embedded broker's data directory.",
		}),
		refusing: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ioc_broker_refusing", Help: "1 while the embedded broker refuses records because its disk is nearly full, else 0.",
		}),
	}
	if r.free == nil {
		r.free = freeSpace
	}
	if deps.Registry == nil || cfg.Dir == "" {
		return r, nil
	}
	for _, metric := range []prometheus.Collector{r.freeBytes, r.refusing} {
		if err := deps.Registry.Register(metric); err != nil {
			return nil, fmt.Errorf("registering the broker's metrics: %w", err)
		}
	}
	return r, nil
}

// freeSpace is what the file system of a directory has left for users other than root.
func freeSpace(dir string) (uint64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, err
	}
	return fs.Bavail * uint64(fs.Bsize), nil
}

// faults are the answers of kfake to what cannot be written. All of them make clients try again.
func (r *room) faults() []kfake.Fault {
	return []kfake.Fault{
		{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.KafkaStorageError, Count: -1,
			When: func(kmsg.Request) bool { return r.refuses(r.floor) }},
		// A real broker that cannot append to the offsets topic answers this too.
		{Keys: []kmsg.Key{kmsg.OffsetCommit, kmsg.TxnOffsetCommit, kmsg.EndTxn, kmsg.InitProducerID, kmsg.JoinGroup, kmsg.SyncGroup},
			Err: kerr.CoordinatorNotAvailable, Count: -1,
			When: func(kmsg.Request) bool { return r.refuses(r.floor / spare) }},
	}
}

// refuses tells whether what needs so much free space is refused.
func (r *room) refuses(floor uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.looked) > lookInterval {
		r.look()
	}
	return r.failed != nil || r.renewal || r.unknown == nil && r.left < floor
}

// look asks for the free space; the caller holds mu.
func (r *room) look() {
	r.left, r.unknown = r.free(r.dir)
	r.looked = time.Now()
}

// check looks at the disk, and says what is wrong with it.
func (r *room) check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.look()
	r.freeBytes.Set(float64(r.left))
	var problem error
	switch {
	case r.failed != nil:
		problem = fmt.Errorf("the disk of the broker's directory %s refused a write (%w): records and commits are refused until it takes writes again; make room there, it goes on by itself", r.dir, r.failed)
	case r.unknown != nil: // kfake's own errors remain
	case r.left < r.floor/spare:
		problem = fmt.Errorf("the disk of the broker's directory %s is full: %d MiB are free, and below %d MiB records and commits are refused; make room there, it goes on by itself", r.dir, r.left>>20, r.floor/spare>>20)
	case r.left < r.floor:
		problem = fmt.Errorf("the disk of the broker's directory %s is nearly full: %d MiB are free, and below %d MiB records are refused; make room there, it goes on by itself", r.dir, r.left>>20, r.floor>>20)
	}
	r.refusing.Set(0)
	if problem != nil {
		r.refusing.Set(1)
	}
	return problem
}

// wrote is told kfake's warnings and errors, which are the only sign of a write that failed.
func (r *room) wrote(format string, args []any) {
	if !strings.HasPrefix(format, "persist ") {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed == nil {
		r.failed = fmt.Errorf(format, args...)
	}
}

// mendable tells whether a write had failed and the disk takes writes again, so that the broker's state can be written
// anew. It tries with as much as that takes. Requests do not wait for it.
func (r *room) mendable() bool {
	r.mu.Lock()
	able := r.failed != nil && (r.unknown != nil || r.left >= r.floor)
	r.mu.Unlock()
	return able && r.try() == nil
}

// try writes as much as all state files hold, and a little more.
func (r *room) try() error {
	size := int64(1 << 20)
	for _, name := range stateFiles {
		if info, err := os.Stat(filepath.Join(r.dir, name)); err == nil {
			size += info.Size()
		}
	}
	f, err := os.CreateTemp(r.dir, "try-")
	if err != nil {
		return err
	}
	block := make([]byte, 1<<20)
	for written := int64(0); written < size && err == nil; written += int64(len(block)) {
		_, err = f.Write(block)
	}
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}

// renew begins to write everything anew; until renewed everything is refused.
func (r *room) renew() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed, r.renewal = nil, true
}

// renewed ends it. It returns the write that the disk refused meanwhile.
func (r *room) renewed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.renewal = false
	return r.failed
}
