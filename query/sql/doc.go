// Package sql lets analysts ask in SQL: one SELECT over the views of the warehouse, with typed parameters, answered as
// a stream of rows. A statement passes two layers that do not rely on each other: package sandbox reads it with a grammar
// and allow-lists of its own and prints it anew, and what is printed runs as the ClickHouse user of the asker's scope,
// whom row policies, grants and limits bind.
//
// # Requests
//
// The body is the statement itself (Content-Type text/plain or application/sql, also application/x-www-form-urlencoded,
// which curl sends unless told otherwise), with parameters as param_<name> in the address; or it is JSON
// (application/json): {"query": "…", "params": {"<name>": value}}. A value is a text, a number, a boolean, null or an
// array of these. In the statement a parameter is {name:Type}.
//
// In the address, format is json, ndjson or csv (else Accept chooses, else json), and scope is the part of the country
// to ask about: national or one province's code. Without scope it is one's own; whose scope is several provinces must
// choose.
//
// # Answers
//
// application/json is {"scope", "columns": [{"name", "type"}], "rows": [[…]], "totals", "row_count", "elapsed_ms",
// "complete"}; totals is there when WITH TOTALS was asked. application/x-ndjson is one object a row; the last line is
// {"complete": true, "rows": n, …} and is no row. text/csv has a header and RFC 4180 quotes; a NULL is an empty field
// and an empty text is "". Texts in CSV are not altered: a text that begins with =, +, - or @ would be a formula to a
// spreadsheet, so import such columns as text.
//
// Whole numbers of 64 bits and more and Decimals are JSON strings, so that no client rounds them; a Float is the
// shortest number that reads back to the same bits, and NaN or an infinity is null. A Date is YYYY-MM-DD, a DateTime RFC 3339
// with the offset of the column's time zone. Bytes of a text that are not UTF-8 become U+FFFD in JSON; use hex().
//
// The HTTP trailer X-Ioc-Complete is true when everything was sent. If something breaks after the answer began, it is
// false and the JSON forms end with "complete": false and the problem in "error"; a CSV answer is broken off, so that a
// client that looks at no trailer has an error too.
//
// # Errors
//
// Errors are problem documents (RFC 9457) like those of package query. The types:
//
//	urn:ioc:problem:parameter        400  a parameter of the address is wrong
//	urn:ioc:problem:sql-refused      400  the statement is not allowed: reason, line and column say where and why
//	urn:ioc:problem:sql-failed       400  ClickHouse found a mistake in it: code is ClickHouse's number
//	urn:ioc:problem:forbidden        403  another scope than one's own, or a lesser role than analyst
//	urn:ioc:problem:not-acceptable   406  no such format
//	urn:ioc:problem:too-large        413  the body is too large
//	urn:ioc:problem:media-type       415  the Content-Type is none of the above
//	urn:ioc:problem:sql-limit        422  the statement went over a limit: limit says which
//	urn:ioc:problem:quota            429  too many statements, at once or in a period; Retry-After
//	urn:ioc:problem:internal         500  instance names the entry in the server's log
//	urn:ioc:problem:busy             503  too many statements of everybody at once; Retry-After
//	urn:ioc:problem:unavailable      503  the warehouse did not answer; Retry-After
package sql
