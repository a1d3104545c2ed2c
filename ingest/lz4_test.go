package ingest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pierrec/lz4/v4"
)

func lz4Frame(t testing.TB, content []byte, options ...lz4.Option) []byte {
	t.Helper()
	var out bytes.Buffer
	w := lz4.NewWriter(&out)
	if err := w.Apply(options...); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestLZ4Frames reads what the library writes, with all that a frame can have, one behind the other, and cut short.
func TestLZ4Frames(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	i := inflater{limit: maxInflated}
	var whole, all []byte
	for _, size := range []int{0, 1, 300, 64 << 10, 64<<10 + 1, 5 << 20} {
		text, noise := make([]byte, size), make([]byte, size)
		for at := range text {
			text[at], noise[at] = "Đề án 06"[random.IntN(11)], byte(random.Uint32())
		}
		for _, content := range [][]byte{text, noise} { // of which only one is compressed
			for _, blocks := range []lz4.BlockSize{lz4.Block64Kb, lz4.Block256Kb, lz4.Block1Mb, lz4.Block4Mb} {
				for bits := range 8 {
					options := []lz4.Option{lz4.BlockSizeOption(blocks), lz4.BlockChecksumOption(bits&1 > 0), lz4.ChecksumOption(bits&2 > 0)}
					if bits&4 > 0 {
						options = append(options, lz4.SizeOption(uint64(size)))
					}
					frame := lz4Frame(t, content, options...)
					out, err := i.inflate(frame, codecLZ4)
					if err != nil || !bytes.Equal(out, content) {
						t.Fatalf("%d bytes in blocks of %v, options %b: %d bytes, %v", size, blocks, bits, len(out), err)
					}
					if bits&4 > 0 && size > 0 {
						frame[6]++ // the size
						if _, err := i.inflate(frame, codecLZ4); err == nil {
							t.Errorf("a frame of %d bytes that says it has one more is no error", size)
						}
						frame[6]--
					}
					if size <= 300 {
						for cut := range len(frame) - 1 {
							if _, err := i.inflate(frame[:cut+1], codecLZ4); err == nil {
								t.Errorf("%d bytes of a frame of %d, options %b, are no error", cut+1, len(frame), bits)
							}
						}
					}
					if size < 64<<10 {
						whole, all = append(whole, frame...), append(all, content...)
					}
				}
			}
		}
	}
	if out, err := i.inflate(whole, codecLZ4); err != nil || !bytes.Equal(out, all) {
		t.Errorf("many frames gave %d bytes of %d, %v", len(out), len(all), err)
	}
}

// TestLZ4LinkedBlocks: blocks may refer to earlier ones of their frame, if its flags say so, and never to another frame.
func TestLZ4LinkedBlocks(t *testing.T) {
	const independent = lz4Independent
	frame := func(flags byte, blocks ...string) []byte {
		b := []byte{0x04, 0x22, 0x4d, 0x18, lz4Version | flags, 4 << 4, 0}
		for _, block := range blocks {
			b = append(append(b, byte(len(block)), 0, 0, 0), block...)
		}
		return append(b, 0, 0, 0, 0)
	}
	const (
		literals = "\x80abcdefgh"               // eight of them
		match    = "\x00\x08\x00" + "\x50vwxyz" // four bytes from eight before, then five literals
	)
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"linked":                    {frame(0, literals, match), "abcdefghabcdvwxyz"},
		"twice linked":              {frame(0, literals, literals, match), "abcdefghabcdefghabcdvwxyz"},
		"independent":               {frame(independent, literals, match), ""},
		"from an earlier frame":     {append(frame(0, literals), frame(0, match)...), ""},
		"of reserved flags":         {frame(lz4Reserved, literals), ""},
		"with a dictionary":         {frame(lz4Dictionary, literals), ""},
		"of another version":        {frame(2<<6, literals), ""},
		"with a wrong magic number": {frame(0, literals)[1:], ""},
		"a block that is no block":  {frame(0, "\xf0"), ""},
	} {
		i := inflater{limit: bombLimit}
		out, err := i.inflate(c.in, codecLZ4)
		if string(out) != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: got %q, %v", name, out, err)
		}
	}
}

// TestLZ4FarReferences: blocks that shrink to little, and that refer to all of the window, in memory that has to grow.
func TestLZ4FarReferences(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	length := func(n int) (b []byte) { // what of a length does not fit into the token
		for n -= 15; n >= 255; n -= 255 {
			b = append(b, 255)
		}
		return append(b, byte(n))
	}
	frame, want := []byte{0x04, 0x22, 0x4d, 0x18, lz4Version, 5 << 4, 0}, []byte(nil)
	for range 200 {
		if random.IntN(5) == 0 {
			frame, want = append(append(frame, 5, 0, 0, 0x80), "plain"...), append(want, "plain"...)
		}
		var block []byte
		for range 3 {
			literals, match := make([]byte, 300+random.IntN(8000)), 300+random.IntN(60_000)
			for at := range literals {
				literals[at] = byte(random.Uint32())
			}
			want = append(want, literals...)
			offset := min(len(want), 65_535)
			if random.IntN(2) == 0 {
				offset = 1 + random.IntN(offset)
			}
			block = append(append(append(block, 0xff), length(len(literals))...), literals...)
			block = append(append(block, byte(offset), byte(offset>>8)), length(match-4)...)
			for range match {
				want = append(want, want[len(want)-offset])
			}
		}
		const end = "a block ends"
		block, want = append(append(block, byte(len(end)<<4)), end...), append(want, end...)
		frame = append(binary.LittleEndian.AppendUint32(frame, uint32(len(block))), block...)
	}
	frame = append(frame, 0, 0, 0, 0)
	for _, limit := range []int{maxInflated, len(want), len(want) - 1} {
		i := inflater{limit: limit}
		out, err := i.inflate(frame, codecLZ4)
		if limit >= len(want) && (err != nil || !bytes.Equal(out, want)) || limit < len(want) && (err == nil || !strings.Contains(err.Error(), "decompresses to more")) {
			t.Errorf("within %d bytes: %d bytes of %d, %v", limit, len(out), len(want), err)
		}
	}
	zeros := make([]byte, 20<<20)
	i := inflater{limit: maxInflated}
	if out, err := i.inflate(lz4Frame(t, zeros), codecLZ4); err != nil || !bytes.Equal(out, zeros) {
		t.Errorf("%d of %d zeros, %v", len(out), len(zeros), err)
	}
}

// BenchmarkLZ4 compares frames with the library's reader of them.
func BenchmarkLZ4(b *testing.B) {
	var content []byte
	for n := range 3000 {
		content = fmt.Appendf(content, `{"specversion":"1.0","id":"%08x","source":"/portal/G22","type":"vn.gov.ioc.auth.attempt.v1"}`, n*2654435761)
	}
	frame := lz4Frame(b, content)
	b.Run("frames", func(b *testing.B) {
		i := inflater{limit: maxInflated}
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			if _, err := i.inflate(frame, codecLZ4); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		i := inflater{limit: maxInflated}
		r := lz4.NewReader(nil)
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			r.Reset(bytes.NewReader(frame))
			if err := i.drain(r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
