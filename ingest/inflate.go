package ingest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

const (
	// maxInflated bounds what one batch may decompress to. A producer's batch is 1 MiB by default, and a broker's limit
	// is for the compressed size.
	maxInflated = 128 << 20
	// maxKeptInflated is how much of it is kept for the next batch.
	maxKeptInflated = 16 << 20
	// maxWindow is the largest window of zstd that is followed, that of its highest level.
	maxWindow = 128 << 20
)

// The codecs of batches.
const (
	codecNone = iota
	codecGzip
	codecSnappy
	codecLZ4
	codecZstd
)

// inflater decompresses batches, one after the other, into memory that it keeps.
type inflater struct {
	// limit bounds what a batch decompresses to.
	limit int
	out   []byte
	src   bytes.Reader
	gzip  *gzip.Reader
	zstd  *zstd.Decoder
}

// inflate returns what the batch holds, valid until the next call.
func (i *inflater) inflate(in []byte, codec uint16) (out []byte, err error) {
	if codec == codecNone {
		return in, nil
	}
	if cap(i.out) > maxKeptInflated {
		i.out = nil
	}
	switch codec {
	case codecGzip:
		i.src.Reset(in)
		if i.gzip == nil {
			i.gzip = new(gzip.Reader)
		}
		if err = i.gzip.Reset(&i.src); err == nil {
			err = i.drain(i.gzip)
		}
	case codecSnappy:
		err = i.snappy(in)
	case codecLZ4:
		err = i.lz4Frames(in)
	case codecZstd:
		if i.zstd == nil {
			i.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
				zstd.WithDecoderMaxMemory(uint64(i.limit)), zstd.WithDecoderMaxWindow(maxWindow))
			if err != nil {
				return nil, err
			}
		}
		i.out, err = i.zstd.DecodeAll(in, i.out[:0])
		if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			err = i.tooLarge()
		}
	default:
		err = errors.New("its codec is not known")
	}
	if err != nil {
		return nil, fmt.Errorf("decompressing the batch: %w", err)
	}
	return i.out, nil
}

func (i *inflater) tooLarge() error {
	return fmt.Errorf("it decompresses to more than %d bytes", i.limit)
}

// drain reads a stream to its end into out.
func (i *inflater) drain(from io.Reader) error {
	i.out = i.out[:0]
	for {
		if len(i.out) == cap(i.out) {
			i.out = slices.Grow(i.out, min(max(len(i.out), 64<<10), i.limit+1-len(i.out)))
		}
		n, err := from.Read(i.out[len(i.out):cap(i.out)])
		i.out = i.out[:len(i.out)+n]
		switch {
		case len(i.out) > i.limit:
			return i.tooLarge()
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// xerial begins the framing that Java producers put around blocks of snappy; two version numbers follow.
var xerial = []byte{130, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeader = 16

// snappy decompresses one block, or blocks with Java's framing.
func (i *inflater) snappy(in []byte) error {
	i.out = i.out[:0]
	if len(in) < xerialHeader || !bytes.HasPrefix(in, xerial) {
		return i.snappyBlock(in)
	}
	for in = in[xerialHeader:]; len(in) > 0; {
		if len(in) < 4 {
			return s2.ErrCorrupt
		}
		size := int64(binary.BigEndian.Uint32(in))
		if in = in[4:]; size > int64(len(in)) {
			return s2.ErrCorrupt
		}
		if err := i.snappyBlock(in[:size]); err != nil {
			return err
		}
		in = in[size:]
	}
	return nil
}

// snappyBlock appends one block of snappy to out.
func (i *inflater) snappyBlock(in []byte) error {
	size, err := s2.DecodedLen(in)
	if err != nil {
		return err
	}
	if size > i.limit-len(i.out) {
		return i.tooLarge()
	}
	i.out = slices.Grow(i.out, size)
	if _, err := s2.Decode(i.out[len(i.out):len(i.out)+size], in); err != nil {
		return err
	}
	i.out = i.out[:len(i.out)+size]
	return nil
}
