// Package request carries what a command asks of a running agent, and the answer.
//
// A request is a file below state_dir that the next beat reads, a signal that makes the beat come now, and the record
// of a beat that names the request. Nothing needs a socket. Running is the agent as a command sees it.
package request
