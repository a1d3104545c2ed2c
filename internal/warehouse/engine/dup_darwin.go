package engine

import (
	"os"
	"syscall"
)

// dupTo makes descriptor fd a blocking copy of f.
func dupTo(f *os.File, fd int) error {
	from := int(f.Fd())
	if err := syscall.SetNonblock(from, false); err != nil {
		return err
	}
	return syscall.Dup2(from, fd)
}
