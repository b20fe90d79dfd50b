package chat_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/addagent/addagent/internal/chat"
	"github.com/addagent/addagent/internal/chat/chattest"
)

func TestMatrix(t *testing.T) {
	const token = "syt_bWF0cml4_TokenOfMatrix_0000"
	var seen sync.Map
	place := func(address func(token, room string) func(string) string) chattest.Place {
		return chattest.Place{
			Address: address(token, "ops"),
			Wrong:   map[string]func(string) string{"wrong token": address("syt_wrong", "ops"), "unknown room": address(token, "elsewhere")},
			Secrets: []string{token}, Limit: 8000, Critical: true, Reads: true, Colour: shades,
		}
	}
	p := place(func(token, room string) func(string) string {
		return func(server string) string {
			return "matrix://:" + token + "@" + server + "/?disableTLS=yes&rooms=" + url.QueryEscape(room)
		}
	})
	p.Serve = func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
		send, isSend := strings.CutPrefix(r.URL.EscapedPath(), "/_matrix/client/v3/rooms/%21abc:here/send/m.room.message/")
		var b struct {
			MsgType, Body, Format string
			Formatted             string   `json:"formatted_body"`
			Mentions              struct{} `json:"m.mentions"`
		}
		switch {
		case r.Header.Get("Authorization") != "Bearer "+token || r.URL.RawQuery != "":
			answer(w, 401, `{"errcode":"M_UNKNOWN_TOKEN","error":"Invalid access token passed."}`)
		case r.Method == http.MethodPost && r.URL.EscapedPath() == "/_matrix/client/v3/join/%23ops":
			answer(w, 200, `{"room_id":"!abc:here"}`)
		case r.Method != http.MethodPut || !isSend:
			answer(w, 404, `{"errcode":"M_NOT_FOUND","error":"No known servers"}`)
		case !decode(w, r, &b):
		default:
			// A number that was there before is the same message: taken, and not said again.
			if _, again := seen.LoadOrStore(send, true); again {
				answer(w, 200, `{"event_id":"$again"}`)
				return
			}
			colour, _, _ := strings.Cut(strings.TrimPrefix(b.Formatted, `<font data-mx-color="`), `"`)
			heard(chattest.Heard{Text: b.Body, Colour: colour, Critical: b.MsgType == "m.text"})
			answer(w, 200, `{"event_id":"$new"}`)
		}
	}
	chattest.Run(t, p)

	// An answer that was lost: the message is tried again and said once.
	said := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.Serve(w, r, func(chattest.Heard) { said++ })
	}))
	defer server.Close()
	room, err := chat.Open(p.Address(strings.TrimPrefix(server.URL, "http://")), chat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := room.Say(t.Context(), chat.Message{Text: "wedged", Time: time.Unix(1700000000, 0)}); err != nil {
			t.Error(err)
		}
	}
	if said != 1 {
		t.Errorf("it was said %d times", said)
	}
}

// With a password each message is a login, whose token is a secret as well, and a logout.
func TestMatrixLogin(t *testing.T) {
	const word, token = "p4ssw0rdQzX81vLk", "syt_TokenOfALogin_QwErTz"
	at := func(word, room string) func(string) string {
		return func(server string) string {
			return "matrix://robot:" + word + "@" + server + "/?disableTLS=yes&rooms=" + room
		}
	}
	var logins, logouts atomic.Int32
	chattest.Run(t, chattest.Place{
		Address: at(word, "!abc"), Secrets: []string{word}, Limit: 8000, Critical: true, Reads: true,
		Wrong: map[string]func(string) string{"wrong token": at("wrong", "!abc"), "unknown room, and the token comes back": at(word, "!def")},
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			var in struct {
				Type, Password string
				Identifier     struct{ Type, User string }
			}
			path := strings.TrimPrefix(r.URL.Path, "/_matrix/client/v3/")
			switch {
			case path == "login":
				if !decode(w, r, &in) {
					return
				}
				if in.Password != word || in.Identifier.User != "robot" {
					answer(w, 403, `{"errcode":"M_FORBIDDEN","error":"Invalid username or password"}`)
					return
				}
				logins.Add(1)
				answer(w, 200, `{"access_token":"`+token+`","user_id":"@robot:here"}`)
			case r.Header.Get("Authorization") != "Bearer "+token:
				answer(w, 401, `{"errcode":"M_UNKNOWN_TOKEN"}`)
			case path == "logout":
				logouts.Add(1)
				answer(w, 200, `{}`)
			case path == "join/!abc":
				answer(w, 200, `{"room_id":"!abc"}`)
			case strings.HasPrefix(path, "join/"):
				answer(w, 404, `{"errcode":"M_NOT_FOUND","error":"`+token+`"}`)
			default:
				var b struct {
					MsgType, Body, Format string
					Formatted             string   `json:"formatted_body"`
					Mentions              struct{} `json:"m.mentions"`
				}
				if decode(w, r, &b) {
					heard(chattest.Heard{Text: b.Body, Critical: b.MsgType == "m.text"})
					answer(w, 200, `{"event_id":"$new"}`)
				}
			}
		},
	})
	// A login whose answer the contract replaces by a 204 has no logout.
	if logins.Load() < 2 || logins.Load() != logouts.Load()+1 {
		t.Errorf("%d logins, %d logouts", logins.Load(), logouts.Load())
	}
}

func TestTelegram(t *testing.T) {
	const token = "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaww"
	at := func(token, chat string) func(string) string {
		return fixed("telegram://" + token + "@telegram?chats=" + chat)
	}
	chattest.Run(t, chattest.Place{
		Address: at(token, "-100123:7"),
		Wrong: map[string]func(string) string{
			"wrong token":  at("110201543:BBBdqTcvCH1vGWJxfSeofSAs0K5PALDsaww", "-100123:7"),
			"unknown room": at(token, "-1"),
		},
		Secrets: []string{token, "AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaww"}, Limit: 4096, Critical: true,
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			var b struct {
				Chat   string `json:"chat_id"`
				Text   string
				Thread int  `json:"message_thread_id"`
				Silent bool `json:"disable_notification"`
				Page   bool `json:"disable_web_page_preview"`
			}
			switch {
			case r.Host != "api.telegram.org" || r.URL.Path != "/bot"+token+"/sendMessage":
				answer(w, 401, `{"ok":false,"error_code":401,"description":"Unauthorized"}`)
			case !decode(w, r, &b):
			case b.Chat != "-100123" || b.Thread != 7:
				answer(w, 400, `{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}`)
			default:
				heard(chattest.Heard{Text: b.Text, Critical: !b.Silent})
				answer(w, 200, `{"ok":true,"result":{}}`)
			}
		},
	})
}

func TestZulip(t *testing.T) {
	const key = "aZuL1pKey0123456789abcdefghijklm"
	at := func(key, stream string) func(string) string {
		return func(server string) string {
			return "zulip://add-bot%40example.org:" + key + "@" + server + "/?topic=nodes&stream=" + stream
		}
	}
	chattest.Run(t, chattest.Place{
		Address: at(key, "ops"),
		Wrong:   map[string]func(string) string{"wrong token": at("nope", "ops"), "unknown room": at(key, "elsewhere")},
		Secrets: []string{key}, Limit: 10000,
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			user, got, _ := r.BasicAuth()
			switch f := r.PostFormValue; {
			case r.URL.Path != "/api/v1/messages" || user != "add-bot@example.org" || got != key:
				answer(w, 401, `{"result":"error","msg":"Invalid API key","code":"INVALID_API_KEY"}`)
			case f("to") != "ops" || f("type") != "stream" || f("topic") != "nodes":
				answer(w, 400, `{"result":"error","msg":"Channel 'elsewhere' does not exist","code":"STREAM_DOES_NOT_EXIST"}`)
			default:
				heard(chattest.Heard{Text: f("content")})
				answer(w, 200, `{"result":"success","msg":"","id":42}`)
			}
		},
	})
}

func TestSignal(t *testing.T) {
	const token = "s1gnalT0kenQzX81vLk"
	at := func(token string) func(string) string {
		return func(server string) string {
			return "signal://" + server + "/+15550001111/+15550002222?disabletls=yes&token=" + token
		}
	}
	chattest.Run(t, chattest.Place{
		Address: at(token), Wrong: map[string]func(string) string{"wrong token": at("nope")},
		Secrets: []string{token}, Limit: 2000,
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			var b struct {
				Message, Number string
				Recipients      []string
			}
			if r.URL.Path != "/v2/send" || r.Header.Get("Authorization") != "Bearer "+token {
				answer(w, 401, `{"error":"unauthorized"}`)
			} else if decode(w, r, &b) && b.Number == "+15550001111" && len(b.Recipients) == 1 && b.Recipients[0] == "+15550002222" {
				heard(chattest.Heard{Text: b.Message})
				answer(w, 201, `{"timestamp":"1"}`)
			}
		},
	})
}

func TestLark(t *testing.T) {
	const token, secret = "larkT0ken-4f8c-b2c4-1234567890ab", "larkS3cretQzX81vLk"
	chattest.Run(t, chattest.Place{
		Address: fixed("lark://open.larksuite.com/" + token + "?secret=" + secret), Wrong: map[string]func(string) string{"wrong token": fixed("lark://open.larksuite.com/nope")},
		Secrets: []string{token, secret}, Limit: 1639, Reads: true,
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			var b struct {
				Type            string `json:"msg_type"`
				Timestamp, Sign string
				Content         struct{ Text string }
			}
			switch {
			case r.Host != "open.larksuite.com" || r.URL.Path != "/open-apis/bot/v2/hook/"+token:
				answer(w, 200, `{"code":19001,"msg":"param invalid: incoming webhook access token invalid","data":{}}`)
			case decode(w, r, &b) && b.Type == "text" && b.Timestamp != "" && len(b.Sign) == 44:
				heard(chattest.Heard{Text: b.Content.Text})
				answer(w, 200, `{"code":0,"msg":"success","data":{}}`)
			}
		},
	})
}

func TestWeCom(t *testing.T) {
	const key = "693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa"
	chattest.Run(t, chattest.Place{
		Address: fixed("wecom://" + key + "?mentioned_list=a,b"), Wrong: map[string]func(string) string{"wrong token": fixed("wecom://nope?mentioned_list=a,b")},
		Secrets: []string{key}, Limit: 819, Reads: true, // 204 times ten bytes, and eight of which six are whole
		Serve: func(w http.ResponseWriter, r *http.Request, heard func(chattest.Heard)) {
			var b struct {
				Type string `json:"msgtype"`
				Text struct {
					Content string
					List    []string `json:"mentioned_list"`
				}
			}
			switch {
			case r.Host != "qyapi.weixin.qq.com" || r.URL.Query().Get("key") != key:
				answer(w, 200, `{"errcode":93000,"errmsg":"invalid webhook url"}`)
			case decode(w, r, &b) && b.Type == "text" && len(b.Text.List) == 2:
				heard(chattest.Heard{Text: b.Text.Content})
				answer(w, 200, `{"errcode":0,"errmsg":"ok"}`)
			}
		},
	})
}
