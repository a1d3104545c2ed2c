package engine

// RunLibrary lets the tests play the part of a `clickhouse` binary.
var RunLibrary = runLibrary
