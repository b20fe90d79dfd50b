package chat_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/chat"
)

// recorder is a transport that says yes to everything and keeps the bodies.
type recorder struct{ bodies []string }

func (r *recorder) RoundTrip(q *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(q.Body)
	r.bodies = append(r.bodies, string(body))
	answer := `{"ok":true,"code":0,"errcode":0,"room_id":"!r:h","access_token":"tok3ntok3n","event_id":"$e"}`
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewBufferString(answer)), Request: q}, err
}

// TestMentions: what a script prints notifies no one, in the syntax of each service that knows mentions.
func TestMentions(t *testing.T) {
	for address, mentions := range map[string]string{
		"hipchat://tok3ntok3n@h/ops":                                                           "@all @here @ann",
		"hipchat://tok3ntok3n@h/ops?api=v1":                                                    "@all (@here)",
		"mattermost://h/tok3ntok3n":                                                            "@all @channel @here @ann",
		"rocketchat://h/tok3ntok3n/tok3ntok3n":                                                 "@all @here",
		"telegram://123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw@telegram?chats=@ops":          "@ann",
		"zulip://bot@h:tok3ntok3n@h/?stream=ops&topic=a":                                       "@**all** @**ann** @*ops*",
		"googlechat://chat.googleapis.com/v1/spaces/S/messages?key=K3yk3yk3y&token=tok3ntok3n": "<users/all> <users/1234>",
		"lark://open.larksuite.com/tok3ntok3n":                                                 `<at`,
		"wecom://tok3ntok3n":                                                                   "<@ann>",
		"slack://hook:AAAAAAAAA-BBBBBBBBB-123456789123456789123456@webhook":                    "<!channel> <!here> <@U1234>",
	} {
		r := &recorder{}
		room, err := chat.Open(address, chat.Options{Transport: r})
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if err := room.Say(t.Context(), chat.Message{Text: "ops:root: exit 3 " + mentions + " mail ann@example.org"}); err != nil {
			t.Errorf("%s: %v", address, err)
		}
		body := strings.NewReplacer("%40", "@", "%2A", "*", `\u003c`, "<", `\u003e`, ">", `\u0026`, "&", "+", " ", `\"`, `"`).Replace(strings.Join(r.bodies, "\n"))
		for _, word := range strings.Fields(mentions) {
			if strings.Contains(body, word) {
				t.Errorf("%s: %s is still in %s", address, word, body)
			}
		}
		if !strings.Contains(body, "ann@example.org") {
			t.Errorf("%s: an address was changed: %s", address, body)
		}
	}
	for address, want := range map[string]string{"matrix://:tok3ntok3n@h/?rooms=%23ops": `"m.mentions":{}`, "discord://tok3ntok3n@1234": `{"embeds":[{`} {
		r := &recorder{}
		room, err := chat.Open(address, chat.Options{Transport: r})
		if err == nil {
			err = room.Say(t.Context(), chat.Message{Text: "@room @everyone"})
		}
		if err != nil || !strings.Contains(strings.Join(r.bodies, ""), want) {
			t.Errorf("%s: %v, %q", address, err, r.bodies)
		}
	}
}
