package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"
)

// Config describes one embedded engine.
type Config struct {
	// Dir is the data directory. It is made when missing, and only one engine may use it.
	Dir string
	// Library is the engine's shared library or a `clickhouse` binary. Empty: Find looks for it.
	Library string
	// MemoryLimit is the most memory the engine takes, in bytes. At the limit a query fails
	// with MEMORY_LIMIT_EXCEEDED (code 241) and the engine lives on.
	MemoryLimit int64
	// NativePort is the loopback port of the native protocol. 0 picks a free one.
	NativePort int
	// HTTPPort is the loopback port of the HTTP protocol. 0 picks a free one.
	HTTPPort int
	// LogLevel is the engine's own log level: none, fatal, error, warning, information,
	// debug or trace.
	LogLevel string
	// StartTimeout bounds the time from the start of the child until it answers a ping.
	// A data directory with many parts takes longer than an empty one (0.3 s).
	StartTimeout time.Duration
	// StopTimeout bounds the time from the order to stop until the child is ended hard.
	// Running queries and inserts get a second of it from the engine itself.
	StopTimeout time.Duration
	// Users are the users besides the administrator.
	Users Users
}

// DefaultConfig returns the configuration of `ioc demo` without a data directory.
func DefaultConfig() Config {
	return Config{
		MemoryLimit:  4 << 30,
		LogLevel:     "warning",
		StartTimeout: 60 * time.Second,
		StopTimeout:  15 * time.Second,
		Users:        Users{Database: "ioc", Limits: DefaultLimits()},
	}
}

// minMemoryLimit is what the engine needs to start and to merge small parts.
const minMemoryLimit = 512 << 20

var logLevels = []string{"none", "fatal", "error", "warning", "information", "debug", "trace"}

func (c Config) validate() error {
	var errs []error
	if c.Dir == "" {
		errs = append(errs, errors.New("Dir is empty"))
	}
	if c.MemoryLimit < minMemoryLimit {
		errs = append(errs, fmt.Errorf("MemoryLimit is %d bytes, at least %d are needed", c.MemoryLimit, int64(minMemoryLimit)))
	}
	for name, port := range map[string]int{"NativePort": c.NativePort, "HTTPPort": c.HTTPPort} {
		if port < 0 || port > 65535 {
			errs = append(errs, fmt.Errorf("%s is %d, not a port", name, port))
		}
	}
	if c.NativePort != 0 && c.NativePort == c.HTTPPort {
		errs = append(errs, fmt.Errorf("NativePort and HTTPPort are both %d", c.HTTPPort))
	}
	if !slices.Contains(logLevels, c.LogLevel) {
		errs = append(errs, fmt.Errorf("LogLevel is %q, not one of %s", c.LogLevel, strings.Join(logLevels, ", ")))
	}
	if c.StartTimeout <= 0 || c.StopTimeout <= 0 {
		errs = append(errs, errors.New("StartTimeout and StopTimeout must be positive"))
	}
	if err := c.Users.validate(); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return fmt.Errorf("engine configuration: %w", errors.Join(errs...))
	}
	return nil
}

// startSQL opens the listeners, which `clickhouse local` has but leaves closed, and then makes the file
// listening. Waiting for that file, rather than trying the port, means never talking to a stranger who has
// the port: another engine would abort on our password. (The engine replaces the file that it writes to, so
// this must never be a device such as /dev/stdout.)
func startSQL(listening string) string {
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(listening)
	return "SYSTEM START LISTEN TCP;\nSYSTEM START LISTEN HTTP;\nSELECT 1 INTO OUTFILE '" + quoted + "' FORMAT TSV;\n"
}

// serverConfig is config.xml. The engine shares a machine of about two cores with everything
// else that `ioc demo` runs, so caches and pools are small.
var serverConfig = template.Must(template.New("config.xml").Parse(`<clickhouse>
  <!-- In this mode the level is this key, not <logger><level>; without <console> it is silent. -->
  <log-level>{{.LogLevel}}</log-level>
  <logger><console>1</console></logger>
  <users_config>{{.UsersFile}}</users_config>

  <!-- Above this a query fails; without it the kernel would kill the engine. -->
  <max_server_memory_usage>{{.MemoryLimit}}</max_server_memory_usage>
  <!-- An index mark cache of 5 GB (the default) would count against the limit above. -->
  <mark_cache_size>268435456</mark_cache_size>
  <!-- Ingestion, ticker and a few analysts; more at once on two cores only wait for each other. -->
  <max_concurrent_queries>100</max_concurrent_queries>
  <max_connections>256</max_connections>
  <!-- At the end, statements and open connections, idle ones too, are waited for this many seconds
       (5 by default). ioc closes its own first; those of a killed ioc are worth no wait. -->
  <shutdown_wait_unfinished>1</shutdown_wait_unfinished>
  <!-- Two merges at a time leave a core for inserts; more would also multiply their memory. -->
  <background_pool_size>2</background_pool_size>
  <background_merges_mutations_concurrency_ratio>2</background_merges_mutations_concurrency_ratio>
  <merge_tree>
    <!-- Free slots that must remain before a large merge or a mutation starts. The defaults (8 to
         25) exceed a pool of four slots: large merges would never run, or the start be refused. -->
    <number_of_free_entries_in_pool_to_lower_max_size_of_merge>2</number_of_free_entries_in_pool_to_lower_max_size_of_merge>
    <number_of_free_entries_in_pool_to_execute_mutation>2</number_of_free_entries_in_pool_to_execute_mutation>
    <number_of_free_entries_in_pool_to_execute_optimize_entire_partition>2</number_of_free_entries_in_pool_to_execute_optimize_entire_partition>
    <!-- Parts are not synced when they are written, as in ClickHouse's own default: a range of dossier
         events makes twenty, and waiting for the disk a fifth of its way to the feed. What is
         acknowledged survives the end of every process; a loss of power is not promised, as the
         embedded broker does not sync each record either. -->
  </merge_tree>

  <!-- No query_log, metric_log or other system log: they grow without anyone reading them, and
       ioc meters and audits its own statements. They exist only when a section names them. -->

  <access_control_improvements>
    <!-- A user whom no policy of a table admits sees none of its rows, rather than all. -->
    <users_without_row_policies_can_read_rows>false</users_without_row_policies_can_read_rows>
    <!-- system.* and information_schema.* need a grant, like every other table. -->
    <select_from_system_db_requires_grant>true</select_from_system_db_requires_grant>
    <select_from_information_schema_requires_grant>true</select_from_information_schema_requires_grant>
    <!-- Lets a profile make one setting changeable under readonly=1 (max_execution_time, which
         clickhouse-go adds to every query with a deadline). -->
    <settings_constraints_replace_previous>true</settings_constraints_replace_previous>
  </access_control_improvements>
</clickhouse>
`))

// paths are the files of one data directory.
type paths struct {
	dir, store, config, users, queries, listening string
	supervisorLock, engineLock                    string
}

func pathsOf(dir string) paths {
	at := func(name string) string { return filepath.Join(dir, name) }
	return paths{
		dir: dir, store: at("store"), config: at("config.xml"), users: at("users.xml"), queries: at("start.sql"), listening: at("listening"),
		supervisorLock: at("supervisor.lock"), engineLock: at("engine.lock"),
	}
}

// write makes the engine's files anew; they are generated, and not for editing.
func (p paths) write(c Config, usersFile []byte) error {
	var config strings.Builder
	err := serverConfig.Execute(&config, map[string]any{
		"LogLevel": c.LogLevel, "UsersFile": escape(p.users), "MemoryLimit": c.MemoryLimit,
	})
	if err != nil {
		return fmt.Errorf("making %s: %w", p.config, err)
	}
	files := map[string]string{p.config: config.String(), p.users: string(usersFile), p.queries: startSQL(p.listening)}
	for path, content := range files {
		if err := writePrivate(path, content); err != nil {
			return err
		}
	}
	return nil
}

// writePrivate replaces a file by one that only its owner can read, whatever mode it had.
func writePrivate(path, content string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("replacing engine file: %w", err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		return fmt.Errorf("writing engine file: %w", err)
	}
	return nil
}
