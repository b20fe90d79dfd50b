package chat

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/specialized/generic"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/specialized/notifiarr"
)

// genericRoom is any webhook, generic://HOST/PATH or generic+https://HOST/PATH: it gets the plain text, or with
// template=json {"message", "color", "critical"}. Query keys that begin with @ are headers, those with $ are fields of
// the JSON, those of the library are settings, and all others stay in the query.
func genericRoom(u *url.URL, s *generic.Service) *web {
	c := s.Config
	target := c.WebhookURL()
	if target.Host == "" || c.Template != "" && !strings.EqualFold(c.Template, "json") {
		return nil
	}
	user := target.User
	target.User = nil
	headers, extra := http.Header{}, map[string]string{}
	w := &web{server: target.Host, limit: 16000}
	w.secrets = append(w.secrets, strings.Trim(target.Path, "/")) // any part of such an address may be secret
	for _, values := range target.Query() {
		w.secrets = append(w.secrets, values...)
	}
	for key, values := range u.Query() {
		switch {
		case strings.HasPrefix(key, "@") && len(key) > 1:
			headers.Set(headerName(key[1:]), values[0])
			w.secrets = append(w.secrets, values[0])
		case strings.HasPrefix(key, "$") && len(key) > 1:
			extra[key[1:]] = values[0]
			w.secrets = append(w.secrets, values[0])
		}
	}
	if password, ok := user.Password(); ok {
		headers.Set("Authorization", basic(user.Username(), password))
		w.secrets = append(w.secrets, password)
	}
	w.say = once(func(m Message) request {
		q := request{method: c.RequestMethod, url: target.String(), body: []byte(m.Text), header: headers.Clone()}
		if c.Template == "" {
			return q.with("Content-Type", "text/plain; charset=utf-8")
		}
		body := map[string]any{c.MessageKey: m.Text, "color": m.Colour, "critical": m.Critical}
		for key, value := range extra {
			body[key] = value
		}
		fill(body, c.TitleKey, c.Title)
		q.body = jsonTo("", body).body
		return q.with("Content-Type", c.ContentType)
	})
	return w
}

// headerName makes "X-Api-Key" of "xApiKey", as the library documents.
func headerName(key string) string {
	var b strings.Builder
	for i, r := range key {
		if i > 0 && unicode.IsUpper(r) && key[i-1] != '-' {
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	return http.CanonicalHeaderKey(b.String())
}

// notifiarrRoom: https://notifiarr.wiki/pages/integrations/passthrough/.
func notifiarrRoom(s *notifiarr.Service) *web {
	c := s.Config
	if c.APIKey == "" {
		return nil
	}
	target := notifiarr.APIBaseURL + "/" + url.PathEscape(c.APIKey)
	return &web{secrets: secrets{c.APIKey}, limit: 1900, say: once(func(m Message) request {
		discord := map[string]any{"color": shade(m.Colour)[1:], "text": map[string]any{"description": m.Text}}
		if id, err := strconv.ParseInt(c.Channel, 10, 64); err == nil {
			discord["ids"] = map[string]any{"channel": id}
		}
		images := map[string]any{}
		fill(images, "thumbnail", c.Thumbnail, "image", c.Image)
		if len(images) > 0 {
			discord["images"] = images
		}
		return jsonTo(target, map[string]any{"notification": map[string]any{"name": strings.Replace(cmp.Or(c.Name, "addagent"), "Shoutrrr", "addagent", 1)}, "discord": discord})
	})}
}
