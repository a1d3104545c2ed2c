package produce

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressSteps is the resolution of a Progress.
const progressSteps = 1000

// Progress shows on a terminal how far long work is. It is for one goroutine.
type Progress struct {
	bar  *progressbar.ProgressBar
	w    io.Writer
	done bool
}

// NewProgress makes a progress display on a terminal; w must not be nil.
func NewProgress(name string, w io.Writer) *Progress {
	return &Progress{w: w, bar: progressbar.NewOptions64(progressSteps, append(barOptions(name, w), progressbar.OptionSetPredictTime(true))...)}
}

// Set shows that a share of the work is done, from 0 to 1. With 1 the display ends its line.
func (p *Progress) Set(share float64) {
	if p.done {
		return
	}
	_ = p.bar.Set64(int64(share * progressSteps)) // an error would be one of the terminal, of no concern to the work
	if share >= 1 {
		p.done = true
		fmt.Fprintln(p.w)
	}
}

func barOptions(name string, w io.Writer) []progressbar.Option {
	return []progressbar.Option{
		progressbar.OptionSetWriter(w), progressbar.OptionSetDescription(name),
		progressbar.OptionSetWidth(30), progressbar.OptionThrottle(100 * time.Millisecond),
		progressbar.OptionSetSpinnerChangeInterval(0), // its own clock would be a goroutine that outlives the bar
	}
}
