package chat

import (
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/addagent/addagent/internal/human"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/discord"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/googlechat"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/mattermost"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/rocketchat"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/slack"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/teams"
)

// slackText escapes a text for Slack: https://api.slack.com/reference/surfaces/formatting#escaping. Otherwise a text
// could notify a whole channel.
func slackText(text string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(text)
}

// slackRoom says a message as an attachment, which has a colour: https://api.slack.com/reference/messaging/attachments.
func slackRoom(s *slack.Service) *web {
	c := s.Config
	_, parts, _ := strings.Cut(c.Token.String(), ":")
	// Slack does not recommend longer texts.
	w := &web{secrets: secrets{c.Token.String(), parts, strings.ReplaceAll(parts, "-", "/")}, limit: 4000}
	build := func(m Message) request {
		text := slackText(m.Text)
		body := map[string]any{"attachments": []any{map[string]any{"fallback": text, "text": text, "color": shade(m.Colour), "mrkdwn_in": []string{}}}}
		fill(body, "text", c.Title, "username", c.BotName, "thread_ts", c.ThreadTS)
		icon(body, c.Icon)
		if c.Channel != "webhook" {
			fill(body, "channel", c.Channel)
		}
		if c.Token.IsAPIToken() {
			return jsonTo("https://slack.com/api/chat.postMessage", body).with("Authorization", c.Token.Authorization())
		}
		return jsonTo(c.Token.WebhookURL(), body)
	}
	w.say = once(build)
	if c.Token.IsAPIToken() {
		// The API answers 200 even to errors.
		w.say = func(ctx context.Context, r caller, m Message) error {
			var said struct {
				OK    bool
				Error string
			}
			if err := r.ask(ctx, build(m), &said); err != nil || said.OK {
				return err
			}
			temporary := []string{"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org"}
			return r.refused(said.Error, !slices.Contains(temporary, said.Error))
		}
	}
	return w
}

func icon(body map[string]any, value string) {
	if strings.HasPrefix(value, "http://") || strings.HasPrefix(value, "https://") {
		fill(body, "icon_url", value)
	} else {
		fill(body, "icon_emoji", value)
	}
}

// mattermostRoom says a message as an attachment:
// https://developers.mattermost.com/integrate/reference/message-attachments.
func mattermostRoom(s *mattermost.Service) *web {
	c := s.Config
	if c.Host == "" {
		return nil
	}
	target := plainOrTLS(c.DisableTLS) + c.Host + "/hooks/" + url.PathEscape(c.Token)
	return &web{server: c.Host, secrets: secrets{c.Token}, limit: 16000, mention: "@", say: once(func(m Message) request {
		body := map[string]any{"attachments": []any{map[string]any{"fallback": m.Text, "text": m.Text, "color": shade(m.Colour)}}}
		fill(body, "username", c.UserName, "channel", c.Channel)
		icon(body, c.Icon)
		return jsonTo(target, body)
	})}
}

func plainOrTLS(plain bool) string {
	if plain {
		return "http://"
	}
	return "https://"
}

// rocketchatRoom: https://docs.rocket.chat/docs/integrations. A message has 5,000 characters unless the server's owner
// chose another number.
func rocketchatRoom(u *url.URL, s *rocketchat.Service) *web {
	c := s.Config
	if c.Host == "" || c.TokenA == "" || c.TokenB == "" {
		return nil
	}
	target := "https://" + u.Host + "/hooks/" + url.PathEscape(c.TokenA) + "/" + url.PathEscape(c.TokenB)
	return &web{server: u.Host, secrets: secrets{c.TokenA, c.TokenB}, limit: 5000, mention: "@", say: once(func(m Message) request {
		body := map[string]any{"attachments": []any{map[string]any{"text": m.Text, "color": shade(m.Colour)}}}
		fill(body, "username", c.UserName, "channel", c.Channel)
		return jsonTo(target, body)
	})}
}

// discordRoom says a message as an embed, which has a colour and notifies no one:
// https://discord.com/developers/docs/resources/webhook#execute-webhook.
func discordRoom(s *discord.Service) *web {
	c := s.Config
	// JSON means a raw body: our text would have to be JSON.
	if c.JSON || strings.ContainsAny(c.Token+c.WebhookID, "/?# ") {
		return nil
	}
	target := discord.CreateAPIURLFromConfig(c)
	return &web{secrets: secrets{c.Token}, limit: 4096, say: once(func(m Message) request {
		number, _ := strconv.ParseInt(shade(m.Colour)[1:], 16, 32)
		embed := map[string]any{"description": m.Text, "color": number}
		fill(embed, "title", c.Title)
		body := map[string]any{"embeds": []any{embed}}
		fill(body, "username", c.Username, "avatar_url", c.Avatar)
		return jsonTo(target, body)
	})}
}

// teamsRoom says a message as a card of the old connectors:
// https://learn.microsoft.com/outlook/actionable-messages/message-card-reference. Their successors (workflows) are
// plain webhooks.
func teamsRoom(s *teams.Service) *web {
	c := s.Config
	target := teams.BuildWebhookURL(c.Host, c.Group, c.Tenant, c.AltID, c.GroupOwner, c.ExtraID)
	if teams.ValidateWebhookURL(target) != nil {
		return nil
	}
	build := func(m Message) request {
		var sections []any
		for line := range strings.SplitSeq(m.Text, "\n") {
			sections = append(sections, map[string]any{"text": line, "markdown": false})
		}
		body := map[string]any{"@type": "MessageCard", "@context": "http://schema.org/extensions", "themeColor": shade(m.Colour)[1:],
			"summary": human.Prefix(m.Text, 60), "sections": sections}
		fill(body, "title", c.Title)
		return jsonTo(target, body)
	}
	say := func(ctx context.Context, r caller, m Message) error {
		answer, err := r.call(ctx, build(m))
		// It answers 200 with such a sentence when the service behind it refused.
		if text := string(answer); err == nil && strings.HasPrefix(text, "Webhook message delivery failed") {
			return r.refused(text, !strings.Contains(text, "HTTP error 429") && !strings.Contains(text, "HTTP error 5"))
		}
		return err
	}
	// A card has at most 28 KB, with all around the text; a character has up to four bytes, an escaped one six.
	return &web{secrets: secrets{c.AltID, c.ExtraID, c.Group}, limit: 4000, say: say}
}

// googlechatRoom: https://developers.google.com/workspace/chat/quickstart/webhooks.
func googlechatRoom(s *googlechat.Service) *web {
	c := s.Config
	if c.Host == "" || c.Path == "" || c.Key == "" || c.Token == "" {
		return nil
	}
	target := url.URL{Scheme: "https", Host: c.Host, Path: c.Path, RawQuery: url.Values{"key": {c.Key}, "token": {c.Token}}.Encode()}
	return &web{server: c.Host, secrets: secrets{c.Key, c.Token}, limit: 4096, mention: "<users/", say: once(func(m Message) request {
		return jsonTo(target.String(), map[string]any{"text": m.Text})
	})}
}

// again is how long a service asks to wait in the body of its answer instead of the header: Telegram
// ({"parameters":{"retry_after":35}}), Discord ({"retry_after":1.5}), Matrix ({"retry_after_ms":2000}).
func again(body []byte) string {
	var said struct {
		Parameters struct {
			After float64 `json:"retry_after"`
		}
		After float64 `json:"retry_after"`
		Milli float64 `json:"retry_after_ms"`
	}
	if json.Unmarshal(body, &said) != nil {
		return ""
	}
	return strconv.FormatFloat(max(said.Parameters.After, said.After, said.Milli/1000), 'f', -1, 64)
}
