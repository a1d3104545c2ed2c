//go:build !race

package main

const detectorMemory = 1
