// Package systemd speaks to the service manager that started us: ready, alive, a line for `systemctl status`, stopping.
//
// Not started by it, everything here does nothing. The units are in the same folder.
package systemd

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// sendTime bounds one message. If the buffer of the manager's socket is full, the manager hangs, and a beat must not
// hang with it.
const sendTime = time.Second

// Notifier tells the service manager how we are. It keeps what it read from the environment, which stays as it is: what
// scripts get is built elsewhere and holds none of it.
type Notifier struct {
	socket   string // "" = no manager; a leading @ means an abstract socket
	interval time.Duration
}

// New reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID through env (pass os.Getenv) for the process pid (pass
// os.Getpid()), as sd_notify(3) and sd_watchdog_enabled(3) define them. A variable that is set but senseless is an
// error that names it; the Notifier is usable all the same, without what that variable would have given.
func New(env func(string) string, pid int) (*Notifier, error) {
	n := &Notifier{}
	var errs []error
	switch socket := env("NOTIFY_SOCKET"); {
	case socket == "":
	case strings.HasPrefix(socket, "/"), strings.HasPrefix(socket, "@") && len(socket) > 1:
		n.socket = socket
	default:
		errs = append(errs, fmt.Errorf("systemd: NOTIFY_SOCKET=%q is neither a path nor an abstract socket", socket))
	}
	usec, forPID := env("WATCHDOG_USEC"), env("WATCHDOG_PID")
	// With another pid it is meant for another process, such as the shell that started us.
	if usec != "" && (forPID == "" || forPID == strconv.Itoa(pid)) {
		micro, err := strconv.ParseInt(usec, 10, 64)
		n.interval = time.Duration(micro) * time.Microsecond
		if err != nil || micro <= 0 || n.interval/time.Microsecond != time.Duration(micro) {
			n.interval = 0
			errs = append(errs, fmt.Errorf("systemd: WATCHDOG_USEC=%q is not a number of microseconds", usec))
		}
	}
	return n, errors.Join(errs...)
}

// AliveEach is how often to say Alive: twice in the time of silence after which the manager kills us; 0 = it does not.
func (n *Notifier) AliveEach() time.Duration {
	if n.socket == "" {
		return 0
	}
	return n.interval / 2
}

// Ready says that the start is complete.
func (n *Notifier) Ready() error { return n.send(daemon.SdNotifyReady) }

// Alive feeds the watchdog. Only progress of the one loop may call it, never a goroutine of its own.
func (n *Notifier) Alive() error { return n.send(daemon.SdNotifyWatchdog) }

// Stopping says that we are ending.
func (n *Notifier) Stopping() error { return n.send(daemon.SdNotifyStopping) }

// Status sets the line that `systemctl status` shows; line breaks become spaces.
func (n *Notifier) Status(line string) error {
	return n.send("STATUS=" + strings.Join(strings.FieldsFunc(line, func(r rune) bool { return r == '\n' || r == '\r' }), " "))
}

// send makes one datagram of state. The library's own function reads the environment of the process at every call,
// which we do not, so only the words are taken from there.
func (n *Notifier) send(state string) error {
	if n.socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("systemd: %w", err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(sendTime)); err != nil {
		return fmt.Errorf("systemd: %w", err)
	}
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("systemd: %w", err)
	}
	return nil
}
