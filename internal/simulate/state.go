package simulate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// stateVersion changes whenever equal configurations give other events than before.
const stateVersion = 1

// stateEvery is how often the state is written; what was sent since then is sent twice after a crash, and counted once.
const stateEvery = time.Second

// state is what has to be known to continue a country: which one it is, and how many of its events were sent. All else
// follows, since a country is a pure function of it.
type state struct {
	Version int       `json:"version"`
	Seed    uint64    `json:"seed"`
	Size    float64   `json:"size"`
	Origin  time.Time `json:"origin"`
	Sent    uint64    `json:"sent"`
}

// readState is nil when there is no file yet.
func readState(path string) (*state, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("simulate: reading what was simulated before: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var s state
	if err := decoder.Decode(&s); err != nil {
		return nil, fmt.Errorf("simulate: %s does not say what was simulated before: %w", path, err)
	}
	return &s, nil
}

// write replaces the file, so that at any moment there is an old or a new one.
func (s *state) write(path string) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	next := path + ".new"
	if err := os.WriteFile(next, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("simulate: noting what was simulated: %w", err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("simulate: noting what was simulated in %s: %w", filepath.Dir(path), err)
	}
	return nil
}
