package chat_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/addagent/addagent/internal/chat/chattest"
)

func TestNtfy(t *testing.T) {
	const topic, word = "t0picQzX81vLkMn", "w0rdGyH67bVeXx"
	at := func(topic, word string) func(string) string {
		return func(server string) string {
			return "ntfy://robot:" + word + "@" + server + "/" + topic + "?scheme=http&title=ADD&tags=nodes&firebase=no"
		}
	}
	dots := fromTable(map[string]string{"red": "red_circle", "yellow": "yellow_circle", "green": "green_circle", "purple": "purple_circle", "gray": "white_circle"})
	chattest.Run(t, chattest.Place{
		Address: at(topic, word), Wrong: map[string]func(string) string{"wrong token": at(topic, "nope")},
		Secrets: []string{topic, word}, Limit: 1639, Critical: true, Colour: dots, // 409 times ten bytes, and six more
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			body, _ := io.ReadAll(r.Body)
			user, got, _ := r.BasicAuth()
			tags := strings.Split(r.Header.Get("Tags"), ",")
			switch {
			case user != "robot" || got != word || r.URL.Path != "/"+topic:
				answer(w, 403, `{"code":40301,"http":403,"error":"forbidden","link":"https://ntfy.sh/docs/publish/#authentication"}`)
			case len(body) > 4096 || len(tags) != 2 || tags[1] != "nodes" || r.Header.Get("Title") != "ADD" || r.Header.Get("Firebase") != "no" || r.Header.Get("Cache") != "":
				answer(w, 400, `{"code":40000,"http":400,"error":"bad request"}`)
			default:
				heard(chattest.Heard{Text: string(body), Colour: tags[0], Critical: r.Header.Get("Priority") == "4"})
				answer(w, 200, `{"id":"hwQ2YpKdmg","event":"message"}`)
			}
		},
	})
}

func TestGotify(t *testing.T) {
	const token = "AzyoeNS.D4iJLVa"
	at := func(token string) func(string) string {
		return func(server string) string {
			return "gotify://" + server + "/sub/" + token + "?disabletls=yes&priority=4"
		}
	}
	chattest.Run(t, chattest.Place{
		Address: at(token), Wrong: map[string]func(string) string{"wrong token": at("Azzzzzzzzzzzzzz")},
		Secrets: []string{token}, Limit: 16000, Critical: true,
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			var b struct {
				Message  string
				Priority int
			}
			if r.Header.Get("X-Gotify-Key") != token || r.URL.RequestURI() != "/sub/message" {
				answer(w, 401, `{"error":"Unauthorized","errorCode":401,"errorDescription":"you need to provide a valid access token or user credentials to access this api"}`)
			} else if decode(w, r, &b) {
				heard(chattest.Heard{Text: b.Message, Critical: b.Priority == 8})
				answer(w, 200, `{"id":25}`)
			}
		},
	})
}

func TestPushover(t *testing.T) {
	const token, user = "azGDORePK8gMaC0QOYAMyEEuzJnyUi", "uQiRzpo4DXghDmr9QzzfQu27cmVRsG"
	at := func(token, user string) func(string) string {
		return fixed("pushover://shoutrrr:" + token + "@" + user + "/?devices=phone,tablet")
	}
	chattest.Run(t, chattest.Place{
		Address: at(token, user), Wrong: map[string]func(string) string{"wrong token": at("nope", user), "unknown room": at(token, "nobody")},
		Secrets: []string{token, user}, Limit: 1024, Critical: true,
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			f := r.PostFormValue
			if r.Host != "api.pushover.net" || r.URL.Path != "/1/messages.json" || f("token") != token || f("user") != user || f("device") != "phone,tablet" {
				answer(w, 400, `{"token":"invalid","errors":["application token is invalid"],"status":0,"request":"647d2300"}`)
				return
			}
			heard(chattest.Heard{Text: f("message"), Critical: f("priority") == "1"})
			answer(w, 200, `{"status":1,"request":"647d2300"}`)
		},
	})
}

func TestBark(t *testing.T) {
	const key = "bArkDeviceKey0987654"
	chattest.Run(t, chattest.Place{
		Address: func(server string) string { return "bark://:" + key + "@" + server + "/sub?scheme=http&group=ADD" },
		Secrets: []string{key}, Limit: 1500, Critical: true,
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			var b struct {
				Body, Level, Group string
				Key                string `json:"device_key"`
			}
			if decode(w, r, &b) && b.Key == key && r.URL.Path == "/sub/push" && b.Group == "ADD" {
				heard(chattest.Heard{Text: b.Body, Critical: b.Level == "timeSensitive"})
				answer(w, 200, `{"code":200,"message":"success"}`)
			}
		},
	})
}

func TestPushbullet(t *testing.T) {
	const token = "o.0123456789aBcDeFgHiJkLmNoPqRsTuV"
	chattest.Run(t, chattest.Place{
		Address: fixed("pushbullet://" + token + "/ops-phone"), Wrong: map[string]func(string) string{"wrong token": fixed("pushbullet://o.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx/ops-phone")},
		Secrets: []string{token}, Limit: 8000,
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			var b struct {
				Type, Title, Body string
				Email             string
				Tag               string `json:"channel_tag"`
				Device            string `json:"device_iden"`
			}
			switch {
			case r.Host != "api.pushbullet.com" || r.URL.Path != "/v2/pushes" || r.Header.Get("Access-Token") != token:
				answer(w, 401, `{"error":{"code":"invalid_access_token","type":"invalid_request","message":"Access token is missing or invalid."}}`)
			case decode(w, r, &b) && b.Type == "note" && b.Device == "ops-phone":
				heard(chattest.Heard{Text: b.Body})
				answer(w, 200, `{"active":true}`)
			}
		},
	})
}

func TestIFTTT(t *testing.T) {
	const key = "dKey0123456789-abcdEFGH"
	chattest.Run(t, chattest.Place{
		Address: fixed("ifttt://" + key + "/?events=node&value1=ADD&messagevalue=2"), Wrong: map[string]func(string) string{"wrong token": fixed("ifttt://nope/?events=node")},
		Secrets: []string{key}, Limit: 8000,
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			var b struct{ Value1, Value2, Value3 string }
			if r.Host != "maker.ifttt.com" || r.URL.Path != "/trigger/node/with/key/"+key {
				answer(w, 401, `{"errors":[{"message":"You sent an invalid key."}]}`)
			} else if decode(w, r, &b) && b.Value1 == "ADD" {
				heard(chattest.Heard{Text: b.Value2})
			}
		},
	})
}

func TestJoin(t *testing.T) {
	const key = "7f3bApiKeyOfJoin456789"
	chattest.Run(t, chattest.Place{
		Address: fixed("join://shoutrrr:" + key + "@join/?devices=phone&title=ADD"), Wrong: map[string]func(string) string{"wrong token": fixed("join://shoutrrr:nope@join/?devices=phone")},
		Secrets: []string{key}, Limit: 500,
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			q := r.URL.Query()
			if r.Host != "joinjoaomgcd.appspot.com" || q.Get("apikey") != key || q.Get("deviceIds") != "phone" || q.Get("title") != "ADD" {
				answer(w, 401, `{"success":false}`)
				return
			}
			heard(chattest.Heard{Text: q.Get("text")})
		},
	})
}

func TestPagerDuty(t *testing.T) {
	const key = "eb243592faa24ba2a5511afdf565c889"
	at := func(key string) func(string) string {
		return fixed("pagerduty://events.pagerduty.com/" + key + "?source=add")
	}
	chattest.Run(t, chattest.Place{
		Address: at(key), Wrong: map[string]func(string) string{"wrong token": at("00000000000000000000000000000000")},
		Secrets: []string{key}, Limit: 1024, Critical: true,
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			var b struct {
				Key     string `json:"routing_key"`
				Action  string `json:"event_action"`
				Payload struct{ Summary, Severity, Source string }
			}
			switch {
			case !decode(w, r, &b):
			case r.Host != "events.pagerduty.com:443" || r.URL.Path != "/v2/enqueue" || b.Key != key || b.Action != "trigger" || b.Payload.Source != "add":
				answer(w, 400, `{"status":"invalid event","message":"Event object is invalid","errors":["'routing_key' is invalid"]}`)
			default:
				heard(chattest.Heard{Text: b.Payload.Summary, Critical: b.Payload.Severity == "critical"})
				answer(w, 202, `{"status":"success","message":"Event processed"}`)
			}
		},
	})
}

func TestOpsgenie(t *testing.T) {
	const key = "eb243592-faa2-4ba2-a551q-1afdf565c889"
	at := func(key string) func(string) string {
		return fixed("opsgenie://api.opsgenie.com/" + key + "?tags=nodes&priority=P4")
	}
	chattest.Run(t, chattest.Place{
		Address: at(key), Wrong: map[string]func(string) string{"wrong token": at("nope")},
		Secrets: []string{key}, Limit: 15000, Critical: true,
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			var b struct {
				Message, Description, Priority string
				Tags                           []string
			}
			switch {
			case r.Host != "api.opsgenie.com:443" || r.URL.Path != "/v2/alerts" || r.Header.Get("Authorization") != "GenieKey "+key:
				answer(w, 401, `{"message":"Could not authenticate","took":0.001,"requestId":"x"}`)
			case !decode(w, r, &b):
			case b.Message == "" || len([]rune(b.Message)) > 130 || len(b.Tags) != 1:
				answer(w, 422, `{"message":"Request body is not processable."}`)
			default:
				heard(chattest.Heard{Text: b.Description, Critical: b.Priority == "P1"})
				answer(w, 202, `{"result":"Request will be processed"}`)
			}
		},
	})
}

func TestNotifiarr(t *testing.T) {
	const key = "n0tifiarr-key-0123-456789abcdef"
	chattest.Run(t, chattest.Place{
		Address: fixed("notifiarr://" + key + "?channel=735481457153277994&name=ADD"), Wrong: map[string]func(string) string{"wrong token": fixed("notifiarr://nope?channel=1")},
		Secrets: []string{key}, Limit: 1900, Colour: func(c string) string { return shades(c)[1:] },
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			var b struct {
				Notification struct{ Name string }
				Discord      struct {
					Color string
					Text  struct{ Description string }
					IDs   struct{ Channel int64 }
				}
			}
			if r.Host != "notifiarr.com" || r.URL.Path != "/api/v1/notification/passthrough/"+key {
				answer(w, 401, `{"result":"error","details":{"response":"Invalid API key"}}`)
			} else if decode(w, r, &b) && b.Discord.IDs.Channel == 735481457153277994 && b.Notification.Name == "ADD" {
				heard(chattest.Heard{Text: b.Discord.Text.Description, Colour: b.Discord.Color})
			}
		},
	})
}
