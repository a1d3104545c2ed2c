// Package reference holds the facts that events are read against: provinces in both administrative schemes, the 25
// essential services, agencies, dossier statuses, savings coefficients and the working calendar.
//
// The facts are CSV files in data/, embedded, parsed strictly and checked against each other by Load. What has no
// source is marked in the files themselves, in the columns source_ref and confidence.
package reference

import (
	"embed"
	"fmt"
	"io"
	"os"
	"path"
)

//go:embed data/*.csv
var files embed.FS

// maxSavingsBytes bounds a savings file given by the operator.
const maxSavingsBytes = 16 << 20

// Options says what Load reads besides the embedded files.
type Options struct {
	// SavingsFile is the path of a savings coefficient CSV. Empty means the embedded examples, which are not official.
	SavingsFile string
	// SourcesFile is the path of a registry of sources, a CSV file with the columns source, types, provinces and
	// expected_seconds. Empty means that there is none, and every well-formed source may send everything.
	SourcesFile string
}

// Data is the loaded reference data. It never changes and is safe for concurrent use.
type Data struct {
	provinces34 []Province34
	provinces63 []Province63
	at34        [100]int8 // position in provinces34 plus one, by the two digits of a code
	at63        [100]int8
	reused      [100]bool

	services    []Service
	byProcedure map[string]string
	agencies    []Agency
	statuses    []DossierStatus

	coefficients *Coefficients
	calendar     *Calendar
	sources      *Sources
}

// Load parses the embedded files and those of the options, and checks them against each other. Errors in a file are a
// *PlaceError that names the file, line and column.
func Load(options Options) (*Data, error) {
	d := &Data{}
	for _, load := range []func(*Data, reader) error{loadProvinces, loadPopulation, loadServices, loadAgencies, loadStatuses, loadCalendar} {
		if err := load(d, embedded); err != nil {
			return nil, fmt.Errorf("loading reference data: %w", err)
		}
	}
	if err := d.loadSavings(options.SavingsFile); err != nil {
		return nil, fmt.Errorf("loading savings coefficients: %w", err)
	}
	if err := d.loadSources(options.SourcesFile); err != nil {
		return nil, fmt.Errorf("loading the registry of sources: %w", err)
	}
	return d, nil
}

// Coefficients are the savings coefficients in use.
func (d *Data) Coefficients() *Coefficients { return d.coefficients }

// Calendar is the working calendar.
func (d *Data) Calendar() *Calendar { return d.calendar }

// reader gives the content of a named data file; tests put damaged files in its place.
type reader func(name string) ([]byte, error)

func embedded(name string) ([]byte, error) { return files.ReadFile(path.Join("data", name)) }

// open reads and parses one data file.
func (read reader) open(name string, required, optional []string) (*table, error) {
	content, err := read(name)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return readTable(name, content, required, optional)
}

func (d *Data) loadSavings(file string) error {
	if file == "" {
		const name = "savings_example.csv"
		content, err := embedded(name)
		if err != nil {
			return err
		}
		d.coefficients, err = parseCoefficients(name, content, d.services)
		return err
	}
	content, err := readLimited(file, maxSavingsBytes)
	if err != nil {
		return err
	}
	d.coefficients, err = parseCoefficients(file, content, d.services)
	return err
}

// readLimited reads a file of the operator, which must not be larger than limit bytes.
func readLimited(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", file, limit)
	}
	return content, nil
}
