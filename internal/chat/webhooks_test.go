package chat_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/chat/chattest"
)

// fixed is an address on a server of the service's own.
func fixed(address string) func(string) string { return func(string) string { return address } }

// shades are the colours as one sees them.
var shades = fromTable(map[string]string{"yellow": "#e8b000", "green": "#2e9e4f", "red": "#d02020", "gray": "#8a8a8a", "purple": "#7b3fb5"})

var unslack = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")

// slackBody is what Slack's webhooks and chat.postMessage take.
type slackBody struct {
	Channel, Username, Text, ThreadTS string
	IconEmoji                         string `json:"icon_emoji"`
	Attachments                       []struct {
		Fallback, Text, Color string
		MrkdwnIn              []string `json:"mrkdwn_in"`
	}
}

// heard hands on what a message says; false is a message that Slack refuses.
func (b slackBody) heard(heard func(chattest.Heard)) bool {
	if len(b.Attachments) != 1 || b.Attachments[0].Text == "" || b.Attachments[0].Fallback != b.Attachments[0].Text || strings.ContainsAny(b.Attachments[0].Text, "<>") {
		return false
	}
	heard(chattest.Heard{Text: unslack.Replace(b.Attachments[0].Text), Colour: b.Attachments[0].Color})
	return true
}

const slackSecret = "aBcDeFgHiJkLmNoPqRsTuVwX"

func TestSlackWebhook(t *testing.T) {
	chattest.Run(t, chattest.Place{
		Address: fixed("slack://hook:T0A1B2C3D-B4E5F6G7H-" + slackSecret + "@webhook?botname=ADD&icon=robot_face"),
		Wrong: map[string]func(string) string{
			"wrong token":  fixed("slack://hook:T0A1B2C3D-B4E5F6G7H-wrongWRONGwrongWRONGwron@webhook"),
			"unknown room": fixed("slack://hook:T0A1B2C3D-B00000000-" + slackSecret + "@webhook"),
		},
		Secrets: []string{slackSecret}, Limit: 4000, Colour: shades,
		// https://api.slack.com/messaging/webhooks#handling_errors: words, not JSON.
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			var b slackBody
			parts := strings.Split(r.URL.Path, "/")
			switch {
			case r.Host != "hooks.slack.com" || r.Method != http.MethodPost || len(parts) != 5 || parts[1] != "services":
				http.Error(w, "invalid_path", http.StatusNotFound)
			case parts[4] != slackSecret:
				http.Error(w, "invalid_token", http.StatusForbidden)
			case parts[3] != "B4E5F6G7H" || parts[2] != "T0A1B2C3D":
				http.Error(w, "no_service", http.StatusNotFound)
			case !decode(w, r, &b):
			case b.Username != "ADD" || b.IconEmoji != "robot_face" || b.Channel != "" || !b.heard(heard):
				http.Error(w, "invalid_payload", http.StatusBadRequest)
			default:
				_, _ = io.WriteString(w, "ok")
			}
		},
	})
}

func TestSlackAPI(t *testing.T) {
	// Not in one piece, lest it be taken for a real one.
	const token = "xox" + "b-123456789012-123456789012-" + slackSecret
	at := func(token, channel string) func(string) string {
		return fixed("slack://" + strings.Replace(token, "-", ":", 1) + "@" + channel)
	}
	chattest.Run(t, chattest.Place{
		Address: at(token, "C0123456789"),
		Wrong: map[string]func(string) string{
			"wrong token":  at("xox"+"b-123456789012-123456789012-wrongWRONGwrongWRONGwron", "C0123456789"),
			"unknown room": at(token, "C9999999999"),
		},
		Secrets: []string{token, slackSecret}, Limit: 4000, Colour: shades, Reads: true,
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			var b slackBody
			switch {
			case r.Host != "slack.com" || r.URL.Path != "/api/chat.postMessage" || r.Method != http.MethodPost:
				answer(w, 404, "not found")
			case r.Header.Get("Authorization") != "Bearer "+token:
				answer(w, 200, `{"ok":false,"error":"invalid_auth"}`)
			case !decode(w, r, &b):
			case !strings.EqualFold(b.Channel, "C0123456789"):
				answer(w, 200, `{"ok":false,"error":"channel_not_found"}`)
			case !b.heard(heard):
				answer(w, 200, `{"ok":false,"error":"invalid_arguments"}`)
			default:
				answer(w, 200, `{"ok":true,"channel":"C0123456789","ts":"1503435956.000247"}`)
			}
		},
	})
}

func TestMattermost(t *testing.T) {
	const token = "xyz9abc8def7ghi6jkl5mno4pq"
	at := func(token string) func(string) string {
		return func(server string) string {
			return "mattermost://ADD@" + server + "/" + token + "/ops?disabletls=yes&icon=http%3A%2F%2Fexample.org%2Fi.png"
		}
	}
	chattest.Run(t, chattest.Place{
		Address: at(token), Wrong: map[string]func(string) string{"wrong token": at("ttttttttttttttttttttttttta")},
		Secrets: []string{token}, Limit: 16000, Colour: shades,
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			var b struct {
				Username, Channel string
				IconURL           string `json:"icon_url"`
				Attachments       []struct{ Fallback, Text, Color string }
			}
			switch {
			case r.URL.Path != "/hooks/"+token || r.Method != http.MethodPost:
				answer(w, 400, `{"id":"web.incoming_webhook.invalid.app_error","message":"Invalid webhook","request_id":"k4c","status_code":400}`)
			case !decode(w, r, &b):
			case b.Username != "ADD" || b.Channel != "ops" || b.IconURL == "" || len(b.Attachments) != 1:
				answer(w, 400, `{"id":"web.incoming_webhook.text.app_error","message":"No text specified.","status_code":400}`)
			default:
				heard(chattest.Heard{Text: b.Attachments[0].Text, Colour: b.Attachments[0].Color})
				_, _ = io.WriteString(w, "ok")
			}
		},
	})
}

func TestRocketChat(t *testing.T) {
	const a, b = "5f3aTokenA9q8w7e6r", "aBcDTokenBz1x2c3v4b5n6m7"
	at := func(a, b string) func(string) string {
		return func(server string) string { return "rocketchat://ADD@" + server + "/" + a + "/" + b + "/ops" }
	}
	chattest.Run(t, chattest.Place{
		Address: at(a, b), Wrong: map[string]func(string) string{"wrong token": at(a, "elsewhere")},
		Secrets: []string{a, b}, Limit: 5000, Colour: shades,
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			var body struct {
				Username, Channel string
				Attachments       []struct{ Text, Color string }
			}
			switch {
			case r.URL.Path != "/hooks/"+a+"/"+b || r.Method != http.MethodPost:
				answer(w, 401, `{"success":false,"error":"Invalid integration id or token provided."}`)
			case !decode(w, r, &body):
			case body.Channel != "#ops" || body.Username != "ADD" || len(body.Attachments) != 1:
				answer(w, 400, `{"success":false,"error":"invalid-channel"}`)
			default:
				heard(chattest.Heard{Text: body.Attachments[0].Text, Colour: body.Attachments[0].Color})
				answer(w, 200, `{"success":true}`)
			}
		},
	})
}

func TestDiscord(t *testing.T) {
	const token = "Q7x-Discord_Token-0123456789abcdefghijklmnop"
	chattest.Run(t, chattest.Place{
		Address: fixed("discord://" + token + "@693853386302554172?thread_id=42"),
		Wrong: map[string]func(string) string{
			"wrong token":  fixed("discord://wrong@693853386302554172?thread_id=42"),
			"unknown room": fixed("discord://" + token + "@1?thread_id=42"),
		},
		Secrets: []string{token}, Limit: 4096, Colour: func(c string) string {
			n, _ := strconv.ParseInt(shades(c)[1:], 16, 32)
			return strconv.Itoa(int(n))
		},
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			var b struct {
				Embeds []struct {
					Description string
					Color       int
				}
			}
			switch {
			case r.Host != "discord.com" || !strings.HasPrefix(r.URL.Path, "/api/webhooks/693853386302554172/") || r.URL.Query().Get("thread_id") != "42":
				answer(w, 404, `{"message": "Unknown Webhook", "code": 10015}`)
			case r.URL.Path != "/api/webhooks/693853386302554172/"+token:
				answer(w, 401, `{"message": "Invalid Webhook Token", "code": 50027}`)
			case !decode(w, r, &b):
			case len(b.Embeds) != 1 || len([]rune(b.Embeds[0].Description)) > 4096:
				answer(w, 400, `{"embeds": ["Must be 4096 or fewer in length."]}`)
			default:
				heard(chattest.Heard{Text: b.Embeds[0].Description, Colour: strconv.Itoa(b.Embeds[0].Color)})
				w.WriteHeader(http.StatusNoContent)
			}
		},
	})
}

func TestTeams(t *testing.T) {
	const group, tenant, alt, owner, extra = "11111111-4444-4444-8444-cccccccccccc", "22222222-4444-4444-8444-cccccccccccc",
		"33333333012222222222333333333344", "44444444-4444-4444-8444-cccccccccccc", "V2ESyij_gAljSoUQHvZoZYzlpAoAXExyOl26dlf1xHEx05"
	at := func(extra string) func(string) string {
		return fixed(fmt.Sprintf("teams://%s@%s/%s/%s/%s?host=test.webhook.office.com", group, tenant, alt, owner, extra))
	}
	chattest.Run(t, chattest.Place{
		Address: at(extra),
		Wrong:   map[string]func(string) string{"wrong token": at("V2elsewhere"), "gone behind it": at("V2gone")},
		Secrets: []string{alt, extra}, Limit: 4000, Colour: func(c string) string { return shades(c)[1:] },
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			var b struct {
				Type       string `json:"@type"`
				Context    string `json:"@context"`
				ThemeColor string
				Summary    string
				Sections   []struct {
					Text     string
					Markdown bool
				}
			}
			path := fmt.Sprintf("/webhookb2/%s@%s/IncomingWebhook/%s/%s/", group, tenant, alt, owner)
			switch {
			case r.URL.Path == path+"V2gone":
				_, _ = io.WriteString(w, "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 410 with ContextId x")
			case r.Host != "test.webhook.office.com" || r.URL.Path != path+extra:
				answer(w, 404, "Webhook Bad Request - no such connector")
			case !decode(w, r, &b):
			case b.Type != "MessageCard" || b.Summary == "" || len(b.Sections) == 0:
				answer(w, 400, "Summary or Text is required.")
			default:
				var lines []string
				for _, s := range b.Sections {
					lines = append(lines, s.Text)
				}
				heard(chattest.Heard{Text: strings.Join(lines, "\n"), Colour: b.ThemeColor})
				_, _ = io.WriteString(w, "1")
			}
		},
	})
}

func TestGoogleChat(t *testing.T) {
	const key, token = "AIzaSyKeyKeyKey0123", "TokTokTok%3D4567"
	for _, kind := range []string{"googlechat", "hangouts"} {
		chattest.Run(t, chattest.Place{
			Address: fixed(kind + "://chat.googleapis.com/v1/spaces/AAAA/messages?key=" + key + "&token=" + token),
			Wrong:   map[string]func(string) string{"wrong token": fixed(kind + "://chat.googleapis.com/v1/spaces/AAAA/messages?key=" + key + "&token=no")},
			Secrets: []string{key, "TokTokTok=4567"}, Limit: 4096,
			Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
				var b struct{ Text string }
				switch q := r.URL.Query(); {
				case r.Host != "chat.googleapis.com" || r.URL.Path != "/v1/spaces/AAAA/messages" || q.Get("key") != key || q.Get("token") != "TokTokTok=4567":
					answer(w, 401, `{"error":{"code":401,"message":"Request had invalid authentication credentials.","status":"UNAUTHENTICATED"}}`)
				case decode(w, r, &b):
					heard(chattest.Heard{Text: b.Text})
					answer(w, 200, `{}`)
				}
			},
		})
	}
}

func TestGeneric(t *testing.T) {
	at := func(rest string) func(string) string {
		return func(server string) string { return "generic://" + server + rest }
	}
	serve := func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path != "/hook/p4thQzX81vLk" || r.URL.RawQuery != "key=k3yUwT52mNrB" || r.Header.Get("X-Api-Token") != "h3adJfD93sPc" ||
			!strings.HasPrefix(r.Header.Get("Content-Type"), "text/plain") {
			answer(w, 403, "no")
			return
		}
		heard(chattest.Heard{Text: string(body)})
	}
	chattest.Run(t, chattest.Place{
		Address: at("/hook/p4thQzX81vLk?key=k3yUwT52mNrB&disabletls=yes&@xApiToken=h3adJfD93sPc"),
		Wrong:   map[string]func(string) string{"wrong token": at("/hook/Elsewhere?key=k3yUwT52mNrB&disabletls=yes")},
		Secrets: []string{"p4thQzX81vLk", "k3yUwT52mNrB", "h3adJfD93sPc"}, Limit: 16000, Serve: serve,
	})
	chattest.Run(t, chattest.Place{
		Address: func(server string) string {
			return "generic+http://robot:w0rdGyH67bVe@" + server + "/hook/p4thQzX81vLk?template=json&messagekey=text&$who=ADD"
		},
		Secrets: []string{"p4thQzX81vLk", "w0rdGyH67bVe"}, Limit: 16000, Critical: true, Colour: func(c string) string { return c },
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			var b struct {
				Text, Color, Who string
				Critical         bool
			}
			if user, word, _ := r.BasicAuth(); user != "robot" || word != "w0rdGyH67bVe" || r.URL.RequestURI() != "/hook/p4thQzX81vLk" {
				answer(w, 401, "no")
			} else if decode(w, r, &b) && b.Who == "ADD" {
				heard(chattest.Heard{Text: b.Text, Colour: b.Color, Critical: b.Critical})
			}
		},
	})
}
