package produce

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
)

// maxLine bounds a line of a file, without its end. The contract rejects events over 64 KiB, which is for the server
// to say; this bound only keeps a file without line ends from filling the memory.
const maxLine = 1 << 20

// line is one line of a file.
type line struct {
	number  int64
	text    []byte // without LF or CRLF; nil when long
	long    bool   // over maxLine; its text was thrown away
	through int64  // bytes of the file read so far, with this line
}

// lineReader cuts a stream into lines. The text of a line is its own copy.
type lineReader struct {
	r      *bufio.Reader
	number int64
	read   int64
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 64<<10)}
}

// next returns io.EOF after the last line. A last line without an end is a line.
func (l *lineReader) next() (line, error) {
	var text []byte
	long := false
	for {
		part, err := l.r.ReadSlice('\n')
		l.read += int64(len(part))
		if !long {
			text = append(text, part...)
			long = len(text) > maxLine+len("\ufeff\r\n")
		}
		if long {
			text = nil
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(text) == 0 && !long:
			return line{}, io.EOF
		case err != nil && !errors.Is(err, io.EOF):
			return line{}, err
		}
		l.number++
		text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
		if l.number == 1 {
			text = bytes.TrimPrefix(text, []byte("\ufeff")) // Windows editors write it
		}
		if len(text) > maxLine {
			text, long = nil, true
		}
		return line{number: l.number, text: text, long: long, through: l.read}, nil
	}
}

// send puts all lines into out and closes it. It returns nil at the end of the stream.
func (l *lineReader) send(ctx context.Context, out chan<- line) error {
	defer close(out)
	for {
		next, err := l.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		select {
		case out <- next:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
