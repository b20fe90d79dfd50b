package daemon

import (
	"errors"
	"path/filepath"
	"runtime"
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
	swept  bool // what a writer that was killed left beside the textfile is gone
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
	m.swept, m.server, m.wrong = false, nil, nil
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
		if !m.swept {
			_ = files.Sweep(filepath.Dir(m.cfg.Textfile), time.Now().Add(-time.Hour))
		}
		m.swept = true
		errs = append(errs, metrics.WriteTextfile(m.cfg.Textfile, page))
	}
	if m.cfg.Listen != "" && m.server == nil {
		var err error
		m.server, err = metrics.Listen(m.cfg.Listen)
		errs = append(errs, err)
	}
	if m.server != nil {
		m.server.Show(page)
	}
	m.wrong = errors.Join(errs...)
}

func (m *metricsReporter) sample(b journal.Beat) metrics.Sample {
	s := metrics.Sample{Beat: b, GoVersion: runtime.Version(), Reached: m.reached, Runs: map[string]metrics.Run{}}
	s.Info, _ = m.info() // what is wrong there is a trouble of the beat
	s.Resident, s.CPU = metrics.Usage()
	for _, l := range b.Looks {
		if !l.Old {
			m.reached[l.Repo] = l.Trouble == ""
		}
	}
	for _, i := range b.Items {
		r := metrics.Run{Success: m.runner.Succeeded(i.Repo, i.Item)}
		if last := m.runner.Last(i.Repo, i.Item); last != nil && !last.Finished.IsZero() {
			r.Failures, r.Took = last.Failures, last.Finished.Sub(last.Started)
		}
		s.Runs[i.Repo+":"+i.Item] = r
	}
	return s
}
