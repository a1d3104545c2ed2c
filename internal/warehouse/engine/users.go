package engine

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"text/template"
	"time"
)

// AdminUser is the name of the user as which ioc itself works.
const AdminUser = "ioc"

// Users says who may read what, beside the administrator, who may do everything.
type Users struct {
	// Database holds the Objects.
	Database string
	// Scopes each become one user.
	Scopes []Scope
	// Objects are what scope users may read; everything else is refused to them.
	Objects []Object
	// Limits bound every query of a scope user.
	Limits Limits
	// Networks are the addresses from which the users are let in. Empty: loopback only.
	Networks []string
}

// Scope is a part of the country that one user sees.
type Scope struct {
	// Name is "national" or "province_" and the province code.
	Name string
	// Province is the code whose rows the user sees; empty for the national scope only.
	Province string
}

// NationalScope returns the scope that sees every row.
func NationalScope() Scope { return Scope{Name: "national"} }

// ProvinceScope returns the scope of one province.
func ProvinceScope(code string) Scope { return Scope{Name: "province_" + code, Province: code} }

// User returns the name of the scope's ClickHouse user.
func (s Scope) User() string { return AdminUser + "_" + s.Name }

// Object is a table or view that scope users may read.
type Object struct {
	// Name is the name within Users.Database.
	Name string
	// Province is the column that holds the province code. Empty: the object has no such
	// column (reference data), and every scope sees all of its rows.
	Province string
	// NationalRows says that every scope sees the rows whose province is empty, and not the national scope only.
	NationalRows bool
	// Sensitive is a Bool column: of the rows whose province is empty, the NationalRows, those that it marks are for the
	// national scope only. Empty: none are.
	Sensitive string
}

// Limits bound the queries of scope users. A query over a limit fails; none is cut short.
type Limits struct {
	// MaxMemory is the most memory of one query, in bytes.
	MaxMemory int64
	// MaxExecution is the longest a query may run. A query may ask for less. The deadline of the
	// caller's context may not be further away, or the query is refused with code 452: the
	// driver turns it into max_execution_time (see DeadlineSlack).
	MaxExecution time.Duration
	// MaxResultRows is the most rows of an answer.
	MaxResultRows int64
	// MaxResultBytes is the most bytes of an answer, uncompressed.
	MaxResultBytes int64
	// MaxReadRows is the most rows a query may read from tables.
	MaxReadRows int64
	// MaxThreads is the most threads of one query.
	MaxThreads int
	// MaxDisk is the most disk that one query may take for what does not fit in memory, in bytes; all queries of a user
	// together get twice that.
	MaxDisk int64
	// MaxQueries is the most queries of one user at once.
	MaxQueries int
	// QueriesPerMinute bounds each quota key (or user, for queries without a key).
	QueriesPerMinute int
	// ReadRowsPerHour bounds the rows read for each quota key (or user).
	ReadRowsPerHour int64
}

// DefaultLimits returns limits that let an analyst scan a year and keep the wall live.
func DefaultLimits() Limits {
	return Limits{
		MaxMemory:        1 << 30,
		MaxExecution:     30 * time.Second,
		MaxResultRows:    1_000_000,
		MaxResultBytes:   256 << 20,
		MaxReadRows:      1_000_000_000,
		MaxThreads:       2,
		MaxDisk:          4 << 30,
		MaxQueries:       16,
		QueriesPerMinute: 600,
		ReadRowsPerHour:  20_000_000_000,
	}
}

// DeadlineSlack is how much over Limits.MaxExecution a query may set max_execution_time:
// clickhouse-go sets it to the context's deadline plus this.
const DeadlineSlack = 5 * time.Second

// Credentials are a user's name and password. They print without the password.
type Credentials struct {
	Username string
	Password string
}

// String returns the user's name with the password masked.
func (c Credentials) String() string { return c.Username + ":***" }

// GoString returns the same as String.
func (c Credentials) GoString() string { return c.String() }

// newCredentials makes a user's random password (130 bits).
func newCredentials(user string) Credentials {
	return Credentials{Username: user, Password: rand.Text()}
}

var (
	identifier   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
	provinceCode = regexp.MustCompile(`^[A-Za-z0-9]{1,16}$`)
)

// validate refuses what would have another meaning in SQL or XML than a name.
func (u Users) validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(u.Objects) > 0 && !identifier.MatchString(u.Database) {
		fail("Users.Database %q is not an identifier", u.Database)
	}
	seen := map[string]bool{}
	for _, s := range u.Scopes {
		switch {
		case s.Province == "" && s != NationalScope():
			fail("scope %q has no province; only the national scope may see every row", s.Name)
		case s.Province != "" && !provinceCode.MatchString(s.Province):
			fail("scope %q: %q is not a province code", s.Name, s.Province)
		case s.Province != "" && s != ProvinceScope(s.Province):
			fail("scope %q of province %s must be named %q", s.Name, s.Province, ProvinceScope(s.Province).Name)
		case seen["scope "+s.Name]:
			fail("scope %q is given twice", s.Name)
		}
		seen["scope "+s.Name] = true
	}
	for _, o := range u.Objects {
		switch {
		case !identifier.MatchString(o.Name):
			fail("object %q is not an identifier", o.Name)
		case o.Province != "" && !identifier.MatchString(o.Province):
			fail("object %s: province column %q is not an identifier", o.Name, o.Province)
		case o.Sensitive != "" && !identifier.MatchString(o.Sensitive):
			fail("object %s: column %q is not an identifier", o.Name, o.Sensitive)
		case seen["object "+o.Name]:
			fail("object %q is given twice", o.Name)
		}
		seen["object "+o.Name] = true
	}
	l := u.Limits
	if len(u.Scopes) > 0 && (l.MaxMemory <= 0 || l.MaxExecution < time.Second || l.MaxResultRows <= 0 || l.MaxResultBytes <= 0 ||
		l.MaxReadRows <= 0 || l.MaxThreads <= 0 || l.MaxDisk <= 0 || l.MaxQueries <= 0 || l.QueriesPerMinute <= 0 || l.ReadRowsPerHour <= 0) {
		fail("every limit must be positive, and MaxExecution at least a second: %+v", l)
	}
	return errors.Join(errs...)
}

// policy is the row filter of one object for one scope.
func (o Object) policy(s Scope) string {
	if s.Province == "" || o.Province == "" {
		return "1"
	}
	switch {
	case o.NationalRows && o.Sensitive != "":
		return o.Province + " = '" + s.Province + "' OR (" + o.Province + " = '' AND NOT " + o.Sensitive + ")"
	case o.NationalRows:
		return o.Province + " IN ('', '" + s.Province + "')"
	}
	return o.Province + " = '" + s.Province + "'"
}

// catalogue are the system tables that SQL clients read to list what there is. ClickHouse itself
// shows in them only what the user may read, so that they need no policy.
var catalogue = []string{"databases", "tables", "columns"}

var usersTemplate = template.Must(template.New("users.xml").Parse(`<clickhouse>
  <!-- Generated by ioc. Not for editing. -->
  <profiles>
    <default/>
    <ioc_admin>
{{- if .Embedded}}
      <!-- Seconds until an idle connection notices that the engine stops: the default of 10 makes
           every stop with an open connection take as long as the engine waits for it. -->
      <poll_interval>1</poll_interval>
{{- end}}
      <!-- Exactly-once insertion: a retry is recognised by its token, in the table and in every
           rollup, which asynchronous inserts (the default since 26.x) do not promise. -->
      <async_insert>0</async_insert>
      <deduplicate_blocks_in_dependent_materialized_views>1</deduplicate_blocks_in_dependent_materialized_views>
      <!-- A view runs with its definer's profile and constraints, and takes of the asker's settings what these allow.
           ClickHouse checks the asker's own constraints for the outermost query only, so that SETTINGS within a
           subquery would let a condition see rows that a policy hides (see ioc_analyst): these stop it. -->
      {{- range .DefinerConstant}}
      <{{.Name}}>{{.Value}}</{{.Name}}>
      {{- end}}
      <constraints>
        {{- range .DefinerConstant}}
        <{{.Name}}><const/></{{.Name}}>
        {{- end}}
      </constraints>
    </ioc_admin>
{{- if .Embedded}}
    <ioc_starter>
      <max_sessions_for_user>1</max_sessions_for_user>
    </ioc_starter>
{{- end}}
    <ioc_analyst>
{{- if .Embedded}}
      <!-- Seconds until an idle connection notices that the engine stops: the default of 10 makes
           every stop with an open connection take as long as the engine waits for it. -->
      <poll_interval>1</poll_interval>
{{- end}}
      <!-- 1: no writes, and no setting may be changed but those that a constraint below frees. -->
      <readonly>1</readonly>
      <allow_ddl>0</allow_ddl>
      <allow_introspection_functions>0</allow_introspection_functions>
      <max_memory_usage>{{.Limits.MaxMemory}}</max_memory_usage>
      <max_memory_usage_for_user>{{.UserMemory}}</max_memory_usage_for_user>
      <max_execution_time>{{.Seconds}}</max_execution_time>
      <timeout_overflow_mode>throw</timeout_overflow_mode>
      <max_result_rows>{{.Limits.MaxResultRows}}</max_result_rows>
      <max_result_bytes>{{.Limits.MaxResultBytes}}</max_result_bytes>
      <result_overflow_mode>throw</result_overflow_mode>
      <max_rows_to_read>{{.Limits.MaxReadRows}}</max_rows_to_read>
      <read_overflow_mode>throw</read_overflow_mode>
      <max_threads>{{.Limits.MaxThreads}}</max_threads>
      <max_temporary_data_on_disk_size_for_query>{{.Limits.MaxDisk}}</max_temporary_data_on_disk_size_for_query>
      <max_temporary_data_on_disk_size_for_user>{{.UserDisk}}</max_temporary_data_on_disk_size_for_user>
      <max_concurrent_queries_for_user>{{.Limits.MaxQueries}}</max_concurrent_queries_for_user>
      <!-- A condition of the user's must never see a row that the policy hides: its error text would
           tell what is in it (toUInt8(name) says "Cannot parse 'Hà Nội'"). Of a view, the engine
           otherwise merges both conditions into one and starts with the cheaper, and makes of the keys of
           a join a condition that it evaluates first. -->
      <query_plan_merge_filters>0</query_plan_merge_filters>
      <enable_join_runtime_filters>0</enable_join_runtime_filters>
      <allow_reorder_prewhere_conditions>0</allow_reorder_prewhere_conditions>
      <short_circuit_function_evaluation>enable</short_circuit_function_evaluation>
      <!-- Small statements with a huge plan. -->
      <max_query_size>65536</max_query_size>
      <max_ast_depth>200</max_ast_depth>
      <max_ast_elements>10000</max_ast_elements>
      <max_expanded_ast_elements>50000</max_expanded_ast_elements>
      <max_subquery_depth>20</max_subquery_depth>
      <constraints>
        <!-- clickhouse-go sets this one for a context with a deadline. The minimum refuses 0,
             which would mean without limit. -->
        <max_execution_time>
          <min>1</min>
          <max>{{.MaxSeconds}}</max>
          <changeable_in_readonly/>
        </max_execution_time>
        {{- range .Constant}}
        <{{.}}><const/></{{.}}>
        {{- end}}
      </constraints>
    </ioc_analyst>
  </profiles>
  <quotas>
    <default/>
    <ioc_analyst>
      <!-- One user serves every person of a scope: ioc names the person as the quota key. -->
      <keyed/>
      <interval>
        <duration>60</duration>
        <queries>{{.Limits.QueriesPerMinute}}</queries>
      </interval>
      <interval>
        <duration>3600</duration>
        <read_rows>{{.Limits.ReadRowsPerHour}}</read_rows>
      </interval>
    </ioc_analyst>
  </quotas>
  <users>
{{- if .Embedded}}
    <default>
      <!-- The engine runs start.sql as this user, without a password: that cannot be changed.
           That session takes the only one that its profile allows, so that nobody else gets in as
           this user; and if one did, there is nothing but opening listeners that it may do. -->
      <no_password/>
      <networks><ip>127.0.0.1</ip></networks>
      <profile>ioc_starter</profile>
      <quota>default</quota>
      <grants><query>GRANT SYSTEM LISTEN ON *.*</query></grants>
    </default>
{{- end}}
{{- range .Users}}
    <{{.Name}}>
      <password_sha256_hex>{{.Hash}}</password_sha256_hex>
      <networks>{{range $.Networks}}<ip>{{.}}</ip>{{end}}</networks>
      <profile>{{.Profile}}</profile>
      <quota>{{.Quota}}</quota>
      {{- if .Grants}}
      <grants>
        {{- range .Grants}}
        <query>{{.}}</query>
        {{- end}}
      </grants>
      {{- end}}
      {{- if .Policies}}
      <databases>
        <{{$.Database}}>
          {{- range .Policies}}
          <{{.Object}}><filter>{{.Filter}}</filter></{{.Object}}>
          {{- end}}
        </{{$.Database}}>
      </databases>
      {{- end}}
    </{{.Name}}>
{{- end}}
  </users>
</clickhouse>
`))

// definerConstant are the settings of which it depends whether a condition on a view sees rows before the policy does. All but
// the first are the defaults.
var definerConstant = []struct{ Name, Value string }{
	{"allow_reorder_prewhere_conditions", "0"},
	{"short_circuit_function_evaluation", "enable"},
	{"optimize_move_to_prewhere", "1"},
	{"move_all_conditions_to_prewhere", "1"},
	{"enable_multiple_prewhere_read_steps", "1"},
}

// constant are the settings of the analyst profile that not even a looser readonly may change.
var constant = []string{
	"readonly", "allow_ddl", "allow_introspection_functions", "max_memory_usage", "max_memory_usage_for_user",
	"timeout_overflow_mode", "max_result_rows", "max_result_bytes", "result_overflow_mode", "max_rows_to_read",
	"read_overflow_mode", "max_threads", "max_temporary_data_on_disk_size_for_query", "max_temporary_data_on_disk_size_for_user",
	"max_concurrent_queries_for_user", "max_query_size", "max_ast_depth", "max_ast_elements",
	"max_expanded_ast_elements", "max_subquery_depth", "query_plan_merge_filters", "enable_join_runtime_filters", "allow_reorder_prewhere_conditions",
	"short_circuit_function_evaluation",
}

type userXML struct {
	Name, Hash, Profile, Quota string
	Grants                     []string
	Policies                   []policyXML
}

type policyXML struct{ Object, Filter string }

// UsersFile returns the users file for the given users. credentials must hold the administrator
// and every scope's user, by user name; only hashes of their passwords are written. embedded adds
// the `default` user in the form that the embedded engine needs, which a server must not get. A
// server also needs the section access_control_improvements of the embedded engine's config.xml.
func UsersFile(u Users, credentials map[string]Credentials, embedded bool) ([]byte, error) {
	if err := u.validate(); err != nil {
		return nil, fmt.Errorf("users file: %w", err)
	}
	admin := userXML{Name: AdminUser, Profile: "ioc_admin", Quota: "default"}
	for _, o := range u.Objects {
		admin.Policies = append(admin.Policies, policyXML{o.Name, "1"})
	}
	users := []userXML{admin}
	for _, s := range u.Scopes {
		user := userXML{Name: s.User(), Profile: "ioc_analyst", Quota: "ioc_analyst"}
		for _, table := range catalogue {
			user.Grants = append(user.Grants, "GRANT SELECT ON system."+table)
		}
		for _, o := range u.Objects {
			user.Grants = append(user.Grants, "GRANT SELECT ON "+u.Database+"."+o.Name)
			user.Policies = append(user.Policies, policyXML{o.Name, o.policy(s)})
		}
		users = append(users, user)
	}
	for i, user := range users {
		c, ok := credentials[user.Name]
		if !ok || c.Password == "" {
			return nil, fmt.Errorf("users file: user %s has no password", user.Name)
		}
		hash := sha256.Sum256([]byte(c.Password))
		users[i].Hash = hex.EncodeToString(hash[:])
	}
	networks := []string{"127.0.0.1", "::1"}
	if len(u.Networks) > 0 {
		networks = nil
		for _, network := range u.Networks {
			networks = append(networks, escape(network))
		}
	}
	seconds := int64(u.Limits.MaxExecution / time.Second)
	var out bytes.Buffer
	err := usersTemplate.Execute(&out, map[string]any{
		"Embedded": embedded, "Limits": u.Limits, "Seconds": seconds,
		"MaxSeconds": seconds + int64(DeadlineSlack/time.Second), "UserMemory": 2 * u.Limits.MaxMemory, "UserDisk": 2 * u.Limits.MaxDisk,
		"Constant": constant, "DefinerConstant": definerConstant, "Users": users, "Networks": networks, "Database": u.Database,
	})
	if err != nil {
		return nil, fmt.Errorf("users file: %w", err)
	}
	return out.Bytes(), nil
}

func escape(s string) string {
	var out strings.Builder
	_ = xml.EscapeText(&out, []byte(s)) // A strings.Builder never fails.
	return out.String()
}
