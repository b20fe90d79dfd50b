//go:build race

package gitwire_test

// raceDetector makes every allocation larger.
const raceDetector = true
