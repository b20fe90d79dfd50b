package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/addagent/addagent/internal/cli"
	"golang.org/x/sys/unix"
)

// colours tells whether what is printed may have any.
func (p *process) colours() bool {
	return cli.IsTerminal(p.Out) && p.Env("NO_COLOR") == "" && p.Env("TERM") != "dumb"
}

// size is that of a terminal, in characters; 0, 0 for whatever is none.
func size(w io.Writer) (width, height int) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, 0
	}
	s, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	return int(s.Col), int(s.Row)
}

// write prints data as it is. Whoever read it may have seen enough.
func (p *process) write(data []byte) error {
	if _, err := p.Out.Write(data); err != nil && !errors.Is(err, syscall.EPIPE) {
		return cli.Failed(fmt.Errorf("write: %w", err))
	}
	return nil
}
