// Package request holds what a command asks of an agent that runs: a file below state_dir that the next beat obeys,
// the signal that makes it come now, and the record that answers.
package request
