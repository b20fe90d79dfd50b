package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// client asks without pause, over a new connection each time, and counts.
type client struct {
	got, lost atomic.Int64
	last      atomic.Value // why the last one was lost
	stop      func()
}

func dial(address string, limit time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", address, limit)
}

// call starts a client.
func (d *demo) call(url string) *client {
	c := &client{}
	ctx, cancel := context.WithCancel(d.ctx)
	var all sync.WaitGroup
	c.stop = func() {
		cancel()
		all.Wait()
	}
	if d.err != nil {
		return c
	}
	h := &http.Client{Timeout: grace, Transport: &http.Transport{DisableKeepAlives: true}}
	for range 2 {
		all.Go(func() {
			pause := time.NewTicker(5 * time.Millisecond) // two of them leave a small machine room for the rest
			defer pause.Stop()
			for ctx.Err() == nil {
				if err := ask(ctx, h, url); err == nil {
					c.got.Add(1)
				} else if ctx.Err() == nil {
					c.lost.Add(1)
					c.last.Store(err.Error())
				}
				<-pause.C
			}
		})
	}
	return c
}

func ask(ctx context.Context, h *http.Client, url string) error {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := h.Do(q)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	return err
}

// some waits for a hundred answers more.
func (c *client) some(d *demo) {
	until := c.got.Load() + 100
	d.until("the client gets answers", func() bool { return c.got.Load() >= until })
}
