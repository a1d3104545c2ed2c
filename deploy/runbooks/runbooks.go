// Package runbooks holds one page for each alert of deploy/prometheus: what it means, what to look at, what to do. A
// process of ioc serves them on its internal listener, so that the runbook_url of an alert leads to the version of the
// page that belongs to the process that the alert is about.
package runbooks

import "embed"

// Pages are the pages, <alert>.md at the root.
//
//go:embed *.md
var Pages embed.FS
