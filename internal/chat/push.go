package chat

import (
	"cmp"
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"

	"github.com/addagent/addagent/internal/human"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/incident/opsgenie"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/incident/pagerduty"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/bark"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/gotify"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ifttt"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/join"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ntfy"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/pushbullet"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/pushover"
)

// ntfyRoom: https://docs.ntfy.sh/publish/. The colour is an emoji among the tags; a critical message has high priority.
func ntfyRoom(s *ntfy.Service) *web {
	c := s.Config
	if c.Host == "" || c.Scheme != "http" && c.Scheme != "https" || c.DisableTLSVerification {
		return nil // name a private CA in network.ca_file instead
	}
	dots := map[string]string{"red": "red_circle", "yellow": "yellow_circle", "green": "green_circle", "purple": "purple_circle"}
	// ntfy makes a file of a longer message.
	w := &web{server: c.Host, secrets: secrets{c.Password, c.Topic}, limit: 4096, bytes: 4096}
	w.say = once(func(m Message) request {
		priority := int(c.Priority)
		if m.Critical {
			priority = max(priority, int(ntfy.PriorityHigh))
		}
		q := request{url: c.GetAPIURL(), body: []byte(m.Text)}.with("Content-Type", "text/plain; charset=utf-8", "Title", c.Title, "Priority", strconv.Itoa(priority),
			"Tags", strings.Join(append([]string{cmp.Or(dots[m.Colour], "white_circle")}, c.Tags...), ","), "Actions", strings.Join(c.Actions, ";"),
			"Click", c.Click, "Attach", c.Attach, "Filename", c.Filename, "Delay", c.Delay, "Email", c.Email, "Icon", c.Icon,
			"Cache", map[bool]string{false: "no"}[c.Cache], "Firebase", map[bool]string{false: "no"}[c.Firebase])
		if c.Username != "" || c.Password != "" {
			q = q.with("Authorization", basic(c.Username, c.Password))
		}
		return q
	})
	return w
}

// gotifyRoom: https://gotify.net/docs/pushmsg. From priority 8 on a phone makes itself heard.
func gotifyRoom(s *gotify.Service) *web {
	c := s.Config
	if c.Host == "" || c.Token == "" || c.InsecureSkipVerify {
		return nil
	}
	target := plainOrTLS(c.DisableTLS) + c.Host + strings.TrimSuffix(c.Path, "/") + "/message"
	return &web{server: c.Host, secrets: secrets{c.Token}, limit: 16000, say: once(func(m Message) request {
		body := map[string]any{"message": m.Text, "priority": c.Priority}
		if m.Critical {
			body["priority"] = max(c.Priority, 8)
		}
		if !strings.HasPrefix(c.Title, "Shoutrrr") { // the library's default
			fill(body, "title", c.Title)
		}
		return jsonTo(target, body).with("X-Gotify-Key", c.Token)
	})}
}

// pushoverRoom: https://pushover.net/api.
func pushoverRoom(s *pushover.Service) *web {
	c := s.Config
	return &web{secrets: secrets{c.Token, c.User}, limit: 1024, say: once(func(m Message) request {
		priority := min(c.Priority, 1) // 2 would want to be acknowledged
		if m.Critical {
			priority = 1
		}
		form := url.Values{"token": {c.Token}, "user": {c.User}, "message": {m.Text}, "priority": {strconv.Itoa(int(priority))}}
		set(form, "device", strings.Join(c.Devices, ","), "title", c.Title)
		return formTo("https://api.pushover.net/1/messages.json", form)
	})}
}

// barkRoom: https://bark.day.app/#/en-us/tutorial.
func barkRoom(s *bark.Service) *web {
	c := s.Config
	if c.Host == "" || c.DeviceKey == "" || c.Scheme != "http" && c.Scheme != "https" {
		return nil
	}
	return &web{server: c.Host, secrets: secrets{c.DeviceKey}, limit: 1500, say: once(func(m Message) request {
		body := map[string]any{"body": m.Text, "device_key": c.DeviceKey, "level": map[bool]string{true: "timeSensitive", false: "active"}[m.Critical]}
		fill(body, "title", c.Title, "sound", c.Sound, "icon", c.Icon, "group", c.Group, "url", c.URL, "copy", c.Copy)
		return jsonTo(c.GetAPIURL("push"), body)
	})}
}

// pushbulletRoom: https://docs.pushbullet.com/#create-push.
func pushbulletRoom(s *pushbullet.Service) *web {
	c := s.Config
	return &web{secrets: secrets{c.Token}, limit: 8000, say: each(c.Targets, func(m Message, target string) request {
		push := pushbullet.NewNotePush(m.Text, strings.TrimPrefix(c.Title, "Shoutrrr notification"))
		push.SetTarget(target)
		return jsonTo("https://api.pushbullet.com/v2/pushes", push).with("Access-Token", c.Token)
	})}
}

// iftttRoom: https://ifttt.com/maker_webhooks.
func iftttRoom(s *ifttt.Service) *web {
	c := s.Config
	return &web{secrets: secrets{c.WebHookID}, limit: 8000, say: each(c.Events, func(m Message, event string) request {
		values := []string{c.Value1, c.Value2, c.Value3}
		if i := int(c.UseTitleAsValue) - 1; i >= 0 && i < len(values) {
			values[i] = c.Title
		}
		if i := int(c.UseMessageAsValue) - 1; i >= 0 && i < len(values) {
			values[i] = m.Text
		}
		target := "https://maker.ifttt.com/trigger/" + url.PathEscape(event) + "/with/key/" + url.PathEscape(c.WebHookID)
		return jsonTo(target, map[string]any{"value1": values[0], "value2": values[1], "value3": values[2]})
	})}
}

// joinRoom: https://joaoapps.com/join/api/. The text is part of the URL, so it must be short.
func joinRoom(s *join.Service) *web {
	c := s.Config
	return &web{secrets: secrets{c.APIKey}, limit: 500, say: once(func(m Message) request {
		q := url.Values{"deviceIds": {strings.Join(c.Devices, ",")}, "apikey": {c.APIKey}, "text": {m.Text}}
		set(q, "title", c.Title, "icon", c.Icon)
		return request{url: "https://joinjoaomgcd.appspot.com/_ah/api/messaging/v1/sendPush?" + q.Encode()}
	})}
}

// pagerdutyRoom makes an event of a message: https://developer.pagerduty.com/docs/send-alert-event. Use it with
// "only: critical".
func pagerdutyRoom(u *url.URL, s *pagerduty.Service) *web {
	c := s.Config
	server := c.Host + ":" + cmp.Or(u.Port(), "443") // the library forgets its default
	return &web{server: server, secrets: secrets{c.IntegrationKey}, limit: 1024, say: once(func(m Message) request {
		severity := map[string]string{"red": "error", "yellow": "warning"}[m.Colour]
		if m.Critical {
			severity = "critical"
		}
		body := map[string]any{"routing_key": c.IntegrationKey, "event_action": c.Action,
			"payload": map[string]any{"summary": m.Text, "severity": cmp.Or(severity, "info"), "source": c.Source}}
		fill(body, "dedup_key", c.DedupKey, "client", c.Client, "client_url", c.ClientURL)
		return jsonTo("https://"+server+"/v2/enqueue", body)
	})}
}

// opsgenieRoom makes an alert of a message: https://docs.opsgenie.com/docs/alert-api#create-alert.
func opsgenieRoom(s *opsgenie.Service) *web {
	c := s.Config
	if c.Host == "" || c.APIKey == "" {
		return nil
	}
	server := c.Host + ":" + strconv.Itoa(int(c.Port))
	return &web{server: server, secrets: secrets{c.APIKey}, limit: 15000, say: once(func(m Message) request {
		head, _, _ := strings.Cut(strings.TrimSpace(m.Text), "\n")
		body := map[string]any{"message": human.Prefix(cmp.Or(c.Title, head), 130), "description": m.Text}
		fill(body, "alias", c.Alias, "entity", c.Entity, "source", c.Source, "note", c.Note, "user", c.User, "priority", c.Priority,
			"responders", c.Responders, "visibleTo", c.VisibleTo, "actions", c.Actions, "tags", c.Tags, "details", c.Details)
		if m.Critical {
			body["priority"] = "P1"
		}
		return jsonTo("https://"+server+"/v2/alerts", body).with("Authorization", "GenieKey "+c.APIKey)
	})}
}

// basic is the Authorization header of a user and a password.
func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}
