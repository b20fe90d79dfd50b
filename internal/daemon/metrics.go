package daemon

import (
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/files"
	"github.com/addagent/addagent/internal/journal"
	"github.com/addagent/addagent/internal/metrics"
	"github.com/addagent/addagent/internal/node"
	"github.com/addagent/addagent/work/run"
)

// metricsReporter shows each beat to Prometheus, as the config says. It is of the goroutine of the beats.
type metricsReporter struct {
	cfg    config.Metrics
	file   *metrics.Textfile
	server *metrics.Server
	info   func() (node.Info, error)
	runner *run.Runner
	wrong  error
	// reached is, by repository, whether the last look that asked it had an answer.
	reached map[string]bool
}

// configure takes what the config says. A server of other settings ends; what cannot be opened is tried again at each
// beat.
func (m *metricsReporter) configure(cfg config.Metrics) {
	if cfg != m.cfg {
		m.Close()
		m.cfg = cfg
	}
}

func (m *metricsReporter) Close() {
	if m.server != nil {
		m.server.Close()
	}
	m.file, m.server, m.wrong = nil, nil, nil
}

// Tick answers what is wrong with showing the beats.
func (m *metricsReporter) Tick(time.Time) error { return m.wrong }

// show shows a beat.
func (m *metricsReporter) show(b journal.Beat) {
	if m.cfg == (config.Metrics{}) {
		return
	}
	page := metrics.Render(m.sample(b))
	var errs []error
	if m.cfg.Textfile != "" {
		if m.file == nil {
			m.file = &metrics.Textfile{Path: m.cfg.Textfile}
			_, _ = files.Sweep(filepath.Dir(m.cfg.Textfile), time.Now().Add(-time.Hour)) // of a writer that was killed
		}
		errs = append(errs, m.file.Write(page))
	}
	if m.cfg.Listen != "" {
		errs = append(errs, m.serve(page))
	}
	m.wrong = errors.Join(errs...)
}

func (m *metricsReporter) serve(page []byte) (err error) {
	if m.server == nil {
		if m.server, err = metrics.Listen(m.cfg.Listen); err != nil {
			return err
		}
	}
	m.server.Show(page)
	return nil
}

func (m *metricsReporter) sample(b journal.Beat) metrics.Sample {
	info, _ := m.info() // what is wrong there is a trouble of the beat
	s := metrics.Sample{
		Version: b.Agent, GoVersion: runtime.Version(),
		Node: b.Node, Part: info.Nodepart, Stacktype: info.Stacktype, Deployment: info.Deployment,
		State: b.State, Since: b.Since, Disabled: b.State == node.Disabled,
		Beats: b.Seq, Dropped: b.Dropped, Beat: b.Start, Took: time.Duration(b.Ms * float64(time.Millisecond)), Next: b.Next, LastLook: b.LastLook,
		Troubles: map[string]int{},
	}
	s.Resident, s.CPU = metrics.Usage()
	if b.InHand != nil {
		s.Working = b.InHand.Started
	}
	for _, l := range b.Looks {
		if !l.Old {
			m.reached[l.Repo] = l.Trouble == ""
		}
		s.Repos = append(s.Repos, metrics.Repo{Name: l.Repo, Branch: l.Branch, Version: l.Version, Reached: m.reached[l.Repo]})
		s.Disabled = s.Disabled || l.Resting != ""
	}
	for _, i := range b.Items {
		item := metrics.Item{Repo: i.Repo, Item: i.Item, Wedged: i.Standing == "wedged", Due: i.Due}
		item.Success = m.runner.Succeeded(i.Repo, i.Item)
		if last := m.runner.Last(i.Repo, i.Item); last != nil && !last.Finished.IsZero() {
			item.Failures, item.Took = last.Failures, last.Finished.Sub(last.Started)
		}
		s.Items = append(s.Items, item)
	}
	for _, t := range b.Troubles {
		class, _, _ := strings.Cut(t.Key, " ")
		s.Troubles[class]++
	}
	return s
}
