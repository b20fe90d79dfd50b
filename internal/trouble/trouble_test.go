package trouble

import (
	"errors"
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	begun := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var now Trouble
	for _, step := range []struct {
		after time.Duration
		text  string
		want  News
	}{
		{0, "", Nothing},
		{time.Minute, "port 80 refuses", Begun},
		{2 * time.Minute, "port 81 refuses", Nothing},
		{3 * time.Minute, "port 81 is silent", Begun},
		{63*time.Minute - 1, "port 82 is silent", Nothing},
		{63 * time.Minute, "port 83 is silent", Lasting},
		{64 * time.Minute, "port 83 is silent", Nothing},
		{65 * time.Minute, "", Over},
		{66 * time.Minute, "", Nothing},
		{67 * time.Minute, "port 83 is silent", Begun},
	} {
		at := begun.Add(step.after)
		after, news := now.Next(step.text, at)
		if news != step.want {
			t.Errorf("after %s: %v, want %v", step.after, news, step.want)
		}
		if after.Text != step.text || after.Text != "" && now.Text != "" && after.Since != now.Since || news == Lasting && after.Said != at {
			t.Errorf("after %s: %+v", step.after, after)
		}
		now = after
	}
}

func TestSentence(t *testing.T) {
	for news, want := range map[News]string{Begun: "x", Lasting: "ongoing for 2 h: x", Over: "resolved after 2 h: x"} {
		if got := news.Sentence("2 h", "x"); got != want {
			t.Errorf("%v: %q, want %q", news, got, want)
		}
	}
}

func TestNextOf(t *testing.T) {
	begun := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var now Trouble
	for i, s := range []struct {
		at         time.Duration
		text, want string
	}{
		{0, "", ""},
		{time.Minute, "port 4711 is closed", "port 4711 is closed"},
		{2 * time.Minute, "port 4712 is closed", ""},
		{3 * time.Minute, "no route", "no route"},
		{62 * time.Minute, "no route", ""},
		{63 * time.Minute, "no route", "ongoing for 1 h 2 min: no route"},
		{64 * time.Minute, "no route", ""},
		{65 * time.Minute, "", "resolved after 1 h 4 min: no route"},
		{66 * time.Minute, "", ""},
		{67 * time.Minute, "no route", "no route"},
	} {
		var got string
		var err error
		if s.text != "" {
			err = errors.New(s.text)
		}
		if now, got = now.NextOf(err, begun.Add(s.at)); got != s.want {
			t.Errorf("step %d: %q, want %q", i, got, s.want)
		}
	}
}
