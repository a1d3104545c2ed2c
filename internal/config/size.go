package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ByteSize is a number of bytes, written as 64MiB, 10MB, 1.5GiB or 4096.
type ByteSize int64

var byteUnits = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

// String uses the largest binary unit that divides the size.
func (b ByteSize) String() string {
	for _, unit := range byteUnits[:4] {
		if b != 0 && int64(b)%unit.size == 0 {
			return strconv.FormatInt(int64(b)/unit.size, 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

// MarshalText writes the form that UnmarshalText reads.
func (b ByteSize) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText reads a size; it must not be negative and must be a whole number of bytes.
func (b *ByteSize) UnmarshalText(text []byte) error {
	s := strings.TrimSpace(string(text))
	factor := int64(1)
	for _, unit := range byteUnits {
		if number, ok := strings.CutSuffix(s, unit.name); ok {
			s, factor = strings.TrimSpace(number), unit.size
			break
		}
	}
	if n, err := strconv.ParseUint(s, 10, 63); err == nil && n <= uint64(math.MaxInt64/factor) {
		*b = ByteSize(int64(n) * factor)
		return nil
	}
	n, err := strconv.ParseFloat(s, 64)
	bytes := n * float64(factor)
	if err != nil || !(n >= 0) || bytes >= 1<<53 || bytes != math.Trunc(bytes) {
		return fmt.Errorf("%q is not a size like 64MiB", text)
	}
	*b = ByteSize(bytes)
	return nil
}
