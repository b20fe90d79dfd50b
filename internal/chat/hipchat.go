package chat

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/addagent/addagent/internal/human"
)

// hipchat makes a room of hipchat://TOKEN@host[:port]/ROOM[?api=v1][&scheme=http][&from=NAME].
//
// HipChat's cloud is gone, but private servers and gateways to other services still speak its protocol. The bodies are
// those that hipchat-cli sends: v2 "Send room notification" (a token of the room or of a person, as bearer) and v1
// "rooms/message" (a token of the group, in the form).
func hipchat(u *url.URL) *web {
	token := u.User.Username()
	room := strings.Trim(u.Path, "/") // a name may have spaces; Path has them unescaped
	q, err := url.ParseQuery(u.RawQuery)
	_, password := u.User.Password()
	// A misspelt key would be ignored silently.
	odd := slices.ContainsFunc(slices.Collect(maps.Keys(q)), func(key string) bool { return !slices.Contains([]string{"api", "scheme", "from"}, key) })
	if err != nil || token == "" || password || u.Hostname() == "" || room == "" || odd {
		return nil
	}
	scheme, api, from := cmp.Or(q.Get("scheme"), "https"), cmp.Or(q.Get("api"), "v2"), q.Get("from")
	if scheme != "https" && scheme != "http" || api != "v1" && api != "v2" {
		return nil
	}
	base := scheme + "://" + u.Host
	w := &web{server: u.Host, secrets: secrets{token}, limit: 10000, mention: "@"}
	if api == "v1" {
		w.say = once(func(m Message) request {
			return formTo(base+"/v1/rooms/message", url.Values{
				// v1 takes 15 characters of a name.
				"auth_token": {token}, "room_id": {room}, "from": {human.Prefix(cmp.Or(from, "addagent"), 15)},
				"color": {hipchatColour(m.Colour)}, "notify": {map[bool]string{true: "1", false: "0"}[m.Critical]},
				"message_format": {"text"}, "message": {m.Text},
			})
		})
		return w
	}
	// The name of a room may contain a slash.
	target := base + "/v2/room/" + url.PathEscape(room) + "/notification"
	w.say = once(func(m Message) request {
		body := map[string]any{"color": hipchatColour(m.Colour), "notify": m.Critical, "message_format": "text", "message": m.Text}
		if from != "" {
			body["from"] = human.Prefix(from, 64)
		}
		return jsonTo(target, body).with("Authorization", "Bearer "+token)
	})
	return w
}

// hipchatColour is the colour, or gray if HipChat does not have it.
func hipchatColour(c string) string {
	if slices.Contains([]string{"yellow", "green", "red", "purple"}, c) {
		return c
	}
	return "gray"
}
