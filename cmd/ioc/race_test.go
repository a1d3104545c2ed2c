//go:build race

package main

// detectorMemory is how many times as much memory the program takes, at most, with the race detector.
const detectorMemory = 3
