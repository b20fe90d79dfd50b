package chat

import (
	"strings"
	"testing"
	"time"
)

func TestTextOfATurn(t *testing.T) {
	now := time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)
	at := func(ago time.Duration) *entry {
		return &entry{Message: Message{Text: "idle", Colour: "green", Critical: true, Time: now.Add(-ago)}}
	}
	for name, c := range map[string]struct {
		entry *entry
		lost  int
		want  string
	}{
		"one":         {at(time.Second), 0, "idle"},
		"late":        {at(3 * time.Minute), 0, "2026-03-01 09:27:00 UTC idle"},
		"of tomorrow": {at(-24 * time.Hour), 0, "idle"},
		"one lost":    {nil, 1, "lost 1 earlier message: too old or too many while the room could not be reached"},
		"some lost":   {at(0), 7, "lost 7 earlier messages: too old or too many while the room could not be reached\nidle"},
	} {
		got := turn{entry: c.entry, lost: c.lost}.text(now, 2*time.Minute)
		colour := map[bool]string{true: "green", false: "gray"}[c.entry != nil]
		if got.Text != c.want || got.Colour != colour || got.Critical != (c.entry != nil) {
			t.Errorf("%s: %+v, want %q", name, got, c.want)
		}
	}
}

func TestDelay(t *testing.T) {
	for name, c := range map[string]struct {
		tries    int
		t        *Trouble
		from, to time.Duration // for a chance of 1 and of 0
	}{
		"first":           {1, &Trouble{}, 3750 * time.Millisecond, 5 * time.Second},
		"no Trouble":      {2, nil, 7500 * time.Millisecond, 10 * time.Second},
		"fourth":          {4, &Trouble{}, 30 * time.Second, 40 * time.Second},
		"thousandth":      {1000, &Trouble{}, 675 * time.Second, 15 * time.Minute},
		"permanent":       {1, &Trouble{Permanent: true}, 45 * time.Second, time.Minute},
		"permanent, 20th": {20, &Trouble{Permanent: true}, 675 * time.Second, 15 * time.Minute},
		"unasked":         {0, &Trouble{Permanent: true, Unasked: true}, 5 * time.Second, 5 * time.Second},
		"asked":           {9, &Trouble{RetryAfter: time.Minute}, 65 * time.Second, time.Minute},
		"asked too much":  {1, &Trouble{RetryAfter: 20 * time.Hour}, time.Hour + 5*time.Second, time.Hour},
		"asked for a bit": {9, &Trouble{RetryAfter: time.Millisecond}, 5001 * time.Millisecond, time.Millisecond},
	} {
		if got := delay(c.tries, c.t, 0); got != c.to {
			t.Errorf("%s: %s, want %s", name, got, c.to)
		}
		if got := delay(c.tries, c.t, 1); got != c.from {
			t.Errorf("%s, with jitter: %s, want %s", name, got, c.from)
		}
	}
}

func FuzzAddress(f *testing.F) {
	const token = "T0kenQzX81vLkMnBw72"
	for _, k := range kinds() {
		f.Add(k.form)
		f.Add(strings.NewReplacer("TOKEN", token, "KEY", token, "PASSWORD", token, "HOST", "chat.example.org", "[", "", "]", "").Replace(k.form))
	}
	for _, seed := range []string{
		"slack://hook:T0A1B2C3D-B4E5F6G7H-" + token + "AAAAA@webhook", "matrix://:" + token + "@h/?rooms=", "generic+https://" + token + "@h/?@a=&$=&@=b",
		"ntfy://h/" + token + "?tags=;;;", "telegram://1:" + token + "@telegram?chats=", "teams+https://x.webhook.office.com/webhookb2/" + token,
		token, token + ":", token + "://x", "hipchat://" + token, "hipchat://" + token + "@[::1/x", "://" + token, "slack://dummy@dummy.com",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, address string) {
		err := Check(address)
		shown := Redact(address)
		if err != nil && strings.Contains(strings.ToLower(err.Error()), strings.ToLower(token)) {
			t.Errorf("%q: the error tells the token: %v", address, err)
		}
		// The token may stand where a server's name belongs; everywhere else it is never shown.
		if strings.Contains(strings.ToLower(shown), strings.ToLower(token)) && err != nil {
			t.Errorf("%q is shown as %q", address, shown)
		}
		if name, _, err := parse(address); err == nil && !strings.HasPrefix(shown, name+"://") {
			t.Errorf("%q is shown as %q", address, shown)
		}
		if _, err := Open(address, Options{}); (err == nil) != (Check(address) == nil) {
			t.Errorf("%q: Check and Open differ", address)
		}
	})
}
