// Package query is the HTTP API: the KPI catalogue and its answers, and the
// reference data that codes are read against. Other faces of the same listener,
// such as the live feed, are mounted into it, so that one place decides who asks,
// by which names the server may be called, and what an error looks like.
//
// # Access
//
// Every request is somebody's: of a key (Authorization: Bearer ioc_…) or, where access.loopback permits it, of this
// machine. A route needs a role at least (the table is in routes.go), and a KPI is answered about the principal's
// scope only; a question about another province is a 403. GET /api/v1/me says how one is seen. GET / and the
// documents that hold no data need no key, but a key that is not good is a 401 everywhere.
//
// # Errors
//
// Errors are problem documents (RFC 9457, application/problem+json) with type, title,
// status, detail and instance; a bad parameter is named in parameter too. The types are
// stable, and are what a program should look at:
//
//	urn:ioc:problem:parameter           400  a parameter is unknown or has a bad value
//	urn:ioc:problem:unauthorized        401  there is no key, or not a good one; WWW-Authenticate
//	urn:ioc:problem:forbidden           403  another scope than one's own, or a role that is not enough
//	urn:ioc:problem:origin              403  a page of another site sends without a key
//	urn:ioc:problem:not-found           404  no such KPI, or no such path
//	urn:ioc:problem:method-not-allowed  405  Allow says which methods there are
//	urn:ioc:problem:uri-too-long        414
//	urn:ioc:problem:host                421  the server does not go by this name
//	urn:ioc:problem:too-many-requests   429  more than the limit of the key or address; Retry-After
//	urn:ioc:problem:internal            500  instance names the entry in the server's log
//	urn:ioc:problem:busy                503  too many requests at once; Retry-After
//	urn:ioc:problem:unavailable         503  the warehouse did not answer, or keys cannot be checked; Retry-After
//	urn:ioc:problem:timeout             504  the answer took too long
//
// # Caching
//
// Every answer has a strong ETag, and a request that has it in If-None-Match gets a 304. That of a
// KPI is made of the scope, the question, its revision and definition, and of the answer apart
// from evaluated_at, since some values depend on the time alone. Answers are private to the
// asker's own cache, and vary with Authorization.
package query
