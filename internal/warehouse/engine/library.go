package engine

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	"github.com/ebitengine/purego"
)

// runLibrary loads the shared library and calls its main function, which returns when the
// last query file, standard input, is at its end.
func runLibrary(path string, args []string) error {
	lib, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return fmt.Errorf("loading engine library: %w", err)
	}
	main, err := purego.Dlsym(lib, "chdb_query_cmdline")
	if err != nil {
		return fmt.Errorf("engine library %s: %w", path, err)
	}
	failure, err := purego.Dlsym(lib, "chdb_result_error")
	if err != nil {
		return fmt.Errorf("engine library %s: %w", path, err)
	}
	var query func(argc int32, argv unsafe.Pointer) unsafe.Pointer
	var resultError func(result unsafe.Pointer) string
	purego.RegisterFunc(&query, main)
	purego.RegisterFunc(&resultError, failure)

	// The library has no leading "local": it always is `clickhouse local`.
	argv := cStrings(append([]string{"clickhouse"}, args...))
	var pin runtime.Pinner
	defer pin.Unpin()
	for _, arg := range argv {
		if arg != nil {
			pin.Pin(arg)
		}
	}
	result := query(int32(len(argv)-1), unsafe.Pointer(&argv[0]))
	if result == nil {
		return errors.New("engine returned no result")
	}
	if text := strings.TrimSpace(resultError(result)); text != "" {
		return fmt.Errorf("engine: %s", text)
	}
	return nil
}

// cStrings makes a C argv: pointers to zero-terminated strings, ended by a nil.
func cStrings(args []string) []*byte {
	argv := make([]*byte, 0, len(args)+1)
	for _, arg := range args {
		b := append([]byte(arg), 0)
		argv = append(argv, &b[0])
	}
	return append(argv, nil)
}
