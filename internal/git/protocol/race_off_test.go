//go:build !race

package protocol_test

// raceDetector makes every allocation larger.
const raceDetector = false
