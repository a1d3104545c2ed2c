package ingest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/pierrec/lz4/v4"
)

// The frame format of LZ4: its magic number and the bits of the flags and sizes that are read.
const (
	lz4Magic           = 0x184D2204
	lz4Version         = 1 << 6
	lz4VersionMask     = 3 << 6
	lz4Independent     = 1 << 5
	lz4BlockChecksum   = 1 << 4
	lz4ContentSize     = 1 << 3
	lz4ContentChecksum = 1 << 2
	lz4Reserved        = 1 << 1
	lz4Dictionary      = 1 << 0
	lz4ReservedSizes   = 0x8f
	lz4Stored          = 1 << 31 // of a block's size: it is not compressed
	lz4Window          = 64 << 10
)

var errLZ4Cut = errors.New("an LZ4 frame ends early")

// lz4Frames decompresses LZ4 frames of the format that Kafka's producers write; legacy and skippable ones are errors. It uses the
// library's blocks, and not its reader of frames: the checksum of the whole batch was compared before, so those of a frame are
// passed over, and blocks are decompressed to where they are wanted.
func (i *inflater) lz4Frames(in []byte) (err error) {
	i.out = i.out[:0]
	for len(in) > 0 && err == nil {
		in, err = i.lz4Frame(in)
	}
	return err
}

// lz4Frame appends one frame to out and gives what is behind it.
func (i *inflater) lz4Frame(in []byte) (rest []byte, err error) {
	if len(in) < 7 {
		return nil, errLZ4Cut
	}
	if magic := binary.LittleEndian.Uint32(in); magic != lz4Magic {
		return nil, fmt.Errorf("an LZ4 frame begins with %#x", magic)
	}
	flags, largest := in[4], in[5]>>4&7
	if flags&lz4VersionMask != lz4Version || flags&(lz4Dictionary|lz4Reserved) != 0 || largest < 4 || in[5]&lz4ReservedSizes != 0 {
		return nil, fmt.Errorf("an LZ4 frame of flags %#x and sizes %#x", flags, in[5])
	}
	header := 7
	if flags&lz4ContentSize != 0 {
		header += 8
	}
	if len(in) < header {
		return nil, errLZ4Cut
	}
	frame, content := len(i.out), uint64(0)
	if flags&lz4ContentSize != 0 {
		content = binary.LittleEndian.Uint64(in[6:])
	}
	in = in[header:]
	begin := frame // of what blocks refer to
	for {
		if len(in) < 4 {
			return nil, errLZ4Cut
		}
		size := binary.LittleEndian.Uint32(in)
		if in = in[4:]; size == 0 {
			break
		}
		end := int64(size &^ lz4Stored)
		next := end
		if flags&lz4BlockChecksum != 0 {
			next += 4
		}
		if next > int64(len(in)) {
			return nil, errLZ4Cut
		}
		if flags&lz4Independent != 0 {
			begin = len(i.out) // blocks do not refer to earlier ones
		}
		if err := i.lz4Block(in[:end], size&lz4Stored != 0, 1<<(8+2*largest), begin); err != nil {
			return nil, err
		}
		in = in[next:]
	}
	if n := uint64(len(i.out) - frame); flags&lz4ContentSize != 0 && n != content {
		return nil, fmt.Errorf("an LZ4 frame of %d bytes that says it has %d", n, content)
	}
	if flags&lz4ContentChecksum != 0 {
		if len(in) < 4 {
			return nil, errLZ4Cut
		}
		in = in[4:]
	}
	return in, nil
}

// lz4Block appends a block of at most largest bytes, which may refer to what out has from begin.
func (i *inflater) lz4Block(in []byte, stored bool, largest, begin int) error {
	if stored {
		if len(in) > i.limit-len(i.out) {
			return i.tooLarge()
		}
		i.out = append(i.out, in...)
		return nil
	}
	for room := max(cap(i.out)-len(i.out), 4*len(in)); ; room *= 4 {
		room = min(room, largest)
		if room > cap(i.out)-len(i.out) { // at least twofold, so that many blocks are not copied many times
			i.out = slices.Grow(i.out, max(room, min(len(i.out), i.limit+1-len(i.out))))
		}
		n, err := lz4.UncompressBlockWithDict(in, i.out[len(i.out):len(i.out)+room], i.out[max(begin, len(i.out)-lz4Window):])
		switch {
		case err == nil:
			i.out = i.out[:len(i.out)+n]
			if len(i.out) > i.limit {
				return i.tooLarge()
			}
			return nil
		case room == largest: // else the block may be larger: the library does not tell that from one that is broken
			return err
		}
	}
}
