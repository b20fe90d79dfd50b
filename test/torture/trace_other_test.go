//go:build linux && !amd64

package torture

import (
	"fmt"
	"os"
)

// tracer is for amd64 only: what it reads are that machine's system calls.
func tracer() int {
	fmt.Fprintln(os.Stderr, "tracer: not for this machine")
	return 1
}
