// Stand-in takes the place of a database and of its proxy in examples/database: it really listens, and stores nothing.
//
// A database answers each request over HTTP with its name. A proxy asks a slave, else the master, and adds its own
// name; what one database does not answer it asks of another. Both say their role at /role, and end at TERM when the
// requests in hand have been answered.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// patience is for one database to answer, and for requests in hand at the end.
const patience = 2 * time.Second

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "stand-in:", err)
		os.Exit(1)
	}
}

func serve(args []string) error {
	if len(args) == 0 || args[0] != "db" && args[0] != "proxy" {
		return errors.New("say what it stands for: stand-in db|proxy --listen IP:PORT --name NAME --pid FILE [--role ROLE] [--conf FILE]")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:0", "listen on `IP:PORT`")
	name := flags.String("name", args[0], "the `NAME` in its answers")
	role := flags.String("role", "standalone", "its `ROLE`: master, slave or standalone")
	pid := flags.String("pid", "", "write the process id to `FILE`")
	conf := flags.String("conf", "", "a proxy's databases are in `FILE`: lines master=IP:PORT,... and slave=IP:PORT,...")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	if *pid != "" {
		if err := os.WriteFile(*pid, fmt.Appendln(nil, os.Getpid()), 0o644); err != nil {
			return err
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/role", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "role="+*role) })
	if args[0] == "proxy" {
		mux.Handle("/", &proxy{name: *name, conf: *conf, client: http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}})
	} else {
		mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, *name) })
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: patience}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	rest, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return server.Shutdown(rest)
}

type proxy struct {
	name, conf string
	client     http.Client
	turn       atomic.Uint32
}

// ServeHTTP asks one database after the other, each time another one first. The file is read at each request, so no
// reload is needed.
func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	slaves, masters, err := databases(p.conf)
	if n := len(slaves); n > 0 {
		first := int(p.turn.Add(1) % uint32(n))
		slaves = append(slaves[first:], slaves[:first]...)
	}
	for _, address := range append(slaves, masters...) {
		var answer string
		if answer, err = p.ask(r.Context(), address); err == nil {
			fmt.Fprintf(w, "%s through %s\n", answer, p.name)
			return
		}
	}
	http.Error(w, fmt.Sprint("no database answers: ", err), http.StatusBadGateway)
}

func (p *proxy) ask(ctx context.Context, address string) (string, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return "", err
	}
	answer, err := p.client.Do(q)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
	return strings.TrimSpace(string(data)), err
}

// databases reads a proxy's file.
func databases(path string) (slaves, masters []string, err error) {
	data, err := os.ReadFile(path)
	for line := range strings.Lines(string(data)) {
		role, addresses, _ := strings.Cut(strings.TrimSpace(line), "=")
		list := strings.FieldsFunc(addresses, func(c rune) bool { return c == ',' })
		if role == "master" {
			masters = list
		} else {
			slaves = list
		}
	}
	return slaves, masters, err
}
