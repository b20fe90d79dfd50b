package daemon

import (
	"fmt"
	"strings"
	"time"

	"github.com/addagent/addagent/agent"
	"github.com/addagent/addagent/internal/config"
	"github.com/addagent/addagent/internal/schedule"
	"github.com/addagent/addagent/work"
	"github.com/robfig/cron/v3"
)

// ParseSchedule understands a five-field cron line in UTC, and "@every D".
func ParseSchedule(text string) (schedule.Schedule, error) {
	if every, ok := strings.CutPrefix(strings.TrimSpace(text), "@every "); ok {
		d, err := time.ParseDuration(strings.TrimSpace(every))
		if err != nil || d < time.Second {
			return nil, fmt.Errorf("schedule %q: @every needs a duration of at least 1s, such as @every 30s", text)
		}
		return schedule.Every(d), nil
	}
	if zone, _, ok := strings.Cut(strings.TrimSpace(text), "="); ok && (zone == "TZ" || zone == "CRON_TZ") {
		return nil, fmt.Errorf("schedule %q: times are in UTC; remove %s= and convert the hours", text, zone)
	}
	s, err := cron.ParseStandard(text)
	if err != nil {
		return nil, fmt.Errorf("schedule %q: %w; write five fields (minute hour day month weekday) or @every 30s", text, err)
	}
	if s.Next(time.Now()).IsZero() {
		return nil, fmt.Errorf("schedule %q: it never comes due", text)
	}
	return utc{s}, nil
}

// AgentSettings is what the config says of the agent itself; the schedule is at this node's own second.
func AgentSettings(cfg *config.Config, id string) (agent.Settings, error) {
	s, err := ParseSchedule(cfg.Beat.Schedule)
	if err != nil {
		return agent.Settings{}, err
	}
	return agent.Settings{
		Schedule:  schedule.Shifted{Schedule: s, By: OwnOffset(cfg, s, id)},
		WorkAfter: schedule.Offset(id+" work", cfg.Beat.WorkSpread, cfg.Beat.WorkSpread),
		Output:    cfg.Presence.Output,
		Rules:     work.Rules{RetryFirst: cfg.Work.RetryFirst, RetryMax: cfg.Work.RetryMax, WedgeAfter: cfg.Work.WedgeAfter, Node: id},
	}, nil
}

// OwnOffset is how far this node's beats are behind the ticks of the schedule.
func OwnOffset(cfg *config.Config, s schedule.Schedule, id string) time.Duration {
	return schedule.Offset(id, cfg.Beat.Spread, schedule.Shortest(s))
}

// utc keeps a cron line from following the machine's time zone through summer time.
type utc struct{ cron.Schedule }

func (u utc) Next(t time.Time) time.Time { return u.Schedule.Next(t.UTC()) }
