package chat_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/chat/chattest"
)

// fromTable is a colour's word, or that of anything else.
func fromTable(table map[string]string) func(string) string {
	return func(colour string) string {
		if v, ok := table[colour]; ok {
			return v
		}
		return table["gray"]
	}
}

func answer(w http.ResponseWriter, code int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(body))
}

// decode reads a JSON body strictly: a field that the service does not know is a mistake of ours.
func decode(w http.ResponseWriter, r *http.Request, into any) bool {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil || r.Header.Get("Content-Type") != "application/json" {
		answer(w, http.StatusBadRequest, `{"error":"not the JSON of this service"}`)
		return false
	}
	return true
}

var hipchatColours = fromTable(map[string]string{"yellow": "yellow", "green": "green", "red": "red", "gray": "gray", "purple": "purple"})

func TestHipChat2(t *testing.T) {
	const token = "Tok3n2of+room/4711=="
	at := func(token, room string) func(string) string {
		return func(server string) string {
			return "hipchat://" + token + "@" + server + "/" + room + "?scheme=http&from=ADD"
		}
	}
	chattest.Run(t, chattest.Place{
		Address: at("Tok3n2of+room%2F4711==", "The%20Ops%2FRoom"),
		Wrong: map[string]func(string) string{
			"wrong token":  at("WrongTok3n", "The%20Ops%2FRoom"),
			"unknown room": at("Tok3n2of+room%2F4711==", "Elsewhere"),
		},
		Secrets: []string{token}, Limit: 10000, Colour: hipchatColours, Critical: true,
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			room, isRoom := strings.CutPrefix(strings.TrimSuffix(r.URL.EscapedPath(), "/notification"), "/v2/room/")
			var body struct {
				Color, Message, From string
				Format               string `json:"message_format"`
				Notify               bool
			}
			switch {
			case r.Method != http.MethodPost || !isRoom || !strings.HasSuffix(r.URL.EscapedPath(), "/notification") || r.URL.RawQuery != "":
				answer(w, 405, `{"error":{"code":405,"message":"Method not allowed","type":"Method Not Allowed"}}`)
			case r.Header.Get("Authorization") != "Bearer "+token:
				answer(w, 401, `{"error":{"code":401,"message":"Invalid OAuth session","type":"Unauthorized"}}`)
			case room != "The%20Ops%2FRoom":
				answer(w, 404, `{"error":{"code":404,"message":"Room not found","type":"Not Found"}}`)
			case !decode(w, r, &body):
			case body.Format != "text" || body.Message == "" || len([]rune(body.Message)) > 10000 || body.From != "ADD" || r.UserAgent() != "addagent/test":
				answer(w, 400, `{"error":{"code":400,"message":"Bad value","type":"Bad Request"}}`)
			default:
				heard(chattest.Heard{Text: body.Message, Colour: body.Color, Critical: body.Notify})
				w.WriteHeader(http.StatusNoContent)
			}
		},
	})
}

func TestHipChat1(t *testing.T) {
	const token = "0123456789abcdef0123456789abcd"
	at := func(token, room string) func(string) string {
		return func(server string) string {
			return "hipchat://" + token + "@" + server + "/" + room + "?api=v1&scheme=http"
		}
	}
	chattest.Run(t, chattest.Place{
		Address: at(token, "Ops%20Room"),
		Wrong: map[string]func(string) string{
			"wrong token":  at("WrongTok3n", "Ops%20Room"),
			"unknown room": at(token, "Elsewhere"),
		},
		Secrets: []string{token}, Limit: 10000, Colour: hipchatColours, Critical: true,
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			f := func(name string) string { return r.PostFormValue(name) }
			switch {
			case r.Method != http.MethodPost || r.URL.Path != "/v1/rooms/message" || r.URL.RawQuery != "":
				answer(w, 405, `{"error":{"code":405,"type":"Method Not Allowed","message":"Method not allowed"}}`)
			case f("auth_token") != token:
				answer(w, 401, `{"error":{"code":401,"type":"Unauthorized","message":"Auth token not found. Please see: https://www.hipchat.com/docs/api/auth"}}`)
			case f("room_id") != "Ops Room":
				answer(w, 404, `{"error":{"code":404,"type":"Not Found","message":"Room not found"}}`)
			case f("message_format") != "text" || f("message") == "" || len([]rune(f("message"))) > 10000 || f("from") != "addagent" || len(r.PostForm) != 7 ||
				f("notify") != "0" && f("notify") != "1":
				answer(w, 400, `{"error":{"code":400,"type":"Bad Request","message":"Bad value"}}`)
			default:
				heard(chattest.Heard{Text: f("message"), Colour: f("color"), Critical: f("notify") == "1"})
				answer(w, 200, `{"status":"sent"}`)
			}
		},
	})
}
