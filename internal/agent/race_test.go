//go:build race

package agent

// raceDetector: its sync.Pool forgets on purpose, so that allocations cannot be counted.
const raceDetector = true
