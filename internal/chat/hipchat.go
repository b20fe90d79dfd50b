package chat

import (
	"cmp"
	"net/url"
	"strings"

	"github.com/addagent/addagent/internal/human"
)

// hipchat makes a room of hipchat://TOKEN@host[:port]/ROOM[?api=v1][&scheme=http][&from=NAME].
//
// HipChat's cloud is gone, its protocol is not: servers of one's own and gateways to today's services speak it. The
// bodies are those of the API's documentation as hipchat-cli sends them: v2 "Send room notification" (a token of the
// room or of a person, as bearer) and v1 "rooms/message" (a token of the group, in the form).
func hipchat(a address) (place, error) {
	token := a.url.User.Username()
	room := strings.Trim(a.url.Path, "/") // a name may have spaces; Path has them unescaped
	q, err := url.ParseQuery(a.url.RawQuery)
	_, password := a.url.User.Password()
	if err != nil || token == "" || password || a.url.Hostname() == "" || room == "" || !known(q, "api", "scheme", "from") {
		return nil, errForm
	}
	scheme, api, from := cmp.Or(q.Get("scheme"), "https"), cmp.Or(q.Get("api"), "v2"), q.Get("from")
	if scheme != "https" && scheme != "http" || api != "v1" && api != "v2" {
		return nil, errForm
	}
	base := scheme + "://" + a.url.Host
	w := &web{name: a.kind, server: a.url.Host, secrets: secrets{token}, limit: 10000}
	if api == "v1" {
		w.say = once(func(m Message) request {
			return formTo(base+"/v1/rooms/message", url.Values{
				"auth_token": {token}, "room_id": {room}, "from": {human.Prefix(cmp.Or(from, "addagent"), 15)}, // v1 takes 15 characters
				"color": {hipchatColour(m.Colour)}, "notify": {map[bool]string{true: "1", false: "0"}[m.Critical]},
				"message_format": {"text"}, "message": {m.Text},
			})
		})
		return w, nil
	}
	// Each part is escaped by itself: a room's name may hold a slash.
	target := base + "/v2/room/" + url.PathEscape(room) + "/notification"
	w.say = once(func(m Message) request {
		body := map[string]any{"color": hipchatColour(m.Colour), "notify": m.Critical, "message_format": "text", "message": m.Text}
		if from != "" {
			body["from"] = human.Prefix(from, 64)
		}
		return jsonTo(target, body).with("Authorization", "Bearer "+token)
	})
	return w, nil
}

// hipchatColour is the colour if HipChat has it.
func hipchatColour(c string) string {
	switch c {
	case "yellow", "green", "red", "purple":
		return c
	}
	return "gray"
}

// known tells whether a query has no other keys: a misspelt one would be ignored in silence.
func known(q url.Values, keys ...string) bool {
	n := 0
	for _, key := range keys {
		if _, ok := q[key]; ok {
			n++
		}
	}
	return n == len(q)
}
