package chat

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/lark"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/matrix"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/signal"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/telegram"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/wecom"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/zulip"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// matrixRoom speaks the client API, https://spec.matrix.org/v1.11/client-server-api/: it joins the rooms, which
// resolves aliases and changes nothing in rooms it has joined before, and sends. A critical message is a text, which
// notifies people; any other is a notice, as for bots.
func matrixRoom(u *url.URL) *web {
	c := &matrix.Config{}
	if !readInto(matrixAddress{c}, u) || c.Host == "" || c.Password == "" || len(c.Rooms) == 0 {
		return nil
	}
	base := plainOrTLS(c.DisableTLS) + c.Host + "/_matrix/client/v3"
	say := func(ctx context.Context, r caller, m Message) error {
		token, when := c.Password, m.Time.Format(time.RFC3339Nano)
		if m.Time.IsZero() {
			when = rand.Text()
		}
		if c.User != "" {
			var in struct {
				Token string `json:"access_token"`
			}
			if err := r.ask(ctx, jsonTo(base+"/login", map[string]any{"type": "m.login.password", "password": c.Password,
				"identifier": map[string]any{"type": "m.id.user", "user": c.User}}), &in); err != nil {
				return err
			}
			token, r.secrets = in.Token, append(r.secrets[:len(r.secrets):len(r.secrets)], in.Token)
			// Each login adds a device, so log out; a failure to do so is harmless.
			defer func() {
				_, _ = r.call(ctx, jsonTo(base+"/logout", map[string]any{}).with("Authorization", "Bearer "+token))
			}()
		}
		body := map[string]any{"msgtype": map[bool]string{true: "m.text", false: "m.notice"}[m.Critical], "body": m.Text,
			"m.mentions": map[string]any{}, // empty: no one, whatever the text says
			"format":     "org.matrix.custom.html", "formatted_body": fmt.Sprintf(`<font data-mx-color="%s">%s</font>`, shade(m.Colour),
				strings.ReplaceAll(html.EscapeString(m.Text), "\n", "<br>"))}
		for _, room := range c.Rooms {
			var joined struct {
				ID string `json:"room_id"`
			}
			if err := r.ask(ctx, jsonTo(base+"/join/"+url.PathEscape(room), map[string]any{}).with("Authorization", "Bearer "+token), &joined); err != nil {
				return err
			}
			// The server takes a transaction number once, so a retried message is not posted twice.
			number := sha256.Sum256([]byte(when + room + m.Text))
			send := jsonTo(fmt.Sprintf("%s/rooms/%s/send/m.room.message/%x", base, url.PathEscape(joined.ID), number[:12]), body)
			send.method = http.MethodPut
			if err := r.ask(ctx, send.with("Authorization", "Bearer "+token), &struct{}{}); err != nil {
				return err
			}
		}
		return nil
	}
	// An event may have 64 KB, and contains the text twice.
	return &web{server: c.Host, secrets: secrets{c.Password}, limit: 8000, say: say}
}

// matrixAddress only parses: the library's own Initialize of this service would log in.
type matrixAddress struct{ config *matrix.Config }

func (m matrixAddress) Initialize(address *url.URL, _ types.StdLogger) error {
	return m.config.SetURL(address)
}

// telegramRoom: https://core.telegram.org/bots/api#sendmessage. Only a critical message makes a sound.
func telegramRoom(s *telegram.Service) *web {
	c := s.Config
	_, key, _ := strings.Cut(c.Token, ":")
	return &web{secrets: secrets{c.Token, key}, limit: 4096, mention: "@", say: each(c.Chats, func(m Message, chat string) request {
		id, thread, _ := strings.Cut(chat, ":")
		body := map[string]any{"chat_id": id, "text": m.Text, "disable_notification": !m.Critical || !c.Notification, "disable_web_page_preview": !c.Preview}
		if n, err := strconv.Atoi(thread); err == nil {
			body["message_thread_id"] = n
		}
		return jsonTo("https://api.telegram.org/bot"+c.Token+"/sendMessage", body)
	})}
}

// zulipRoom: https://zulip.com/api/send-message.
func zulipRoom(u *url.URL, s *zulip.Service) *web {
	c := s.Config
	if c.Stream == "" {
		return nil
	}
	return &web{server: u.Host, secrets: secrets{c.BotKey}, limit: 10000, mention: "@", say: once(func(m Message) request {
		form := url.Values{"type": {"stream"}, "to": {c.Stream}, "content": {m.Text}, "topic": {cmp.Or(c.Topic, "addagent")}}
		return formTo("https://"+u.Host+"/api/v1/messages", form).with("Authorization", basic(c.BotMail, c.BotKey))
	})}
}

// signalRoom speaks to https://github.com/bbernhard/signal-cli-rest-api.
func signalRoom(s *signal.Service) *web {
	c := s.Config
	server := c.Host + ":" + strconv.Itoa(c.Port)
	authorization := ""
	switch {
	case c.Token != "":
		authorization = "Bearer " + c.Token
	case c.User != "":
		authorization = basic(c.User, c.Password)
	}
	return &web{server: server, secrets: secrets{c.Token, c.Password}, limit: 2000, say: once(func(m Message) request {
		body := map[string]any{"message": m.Text, "number": c.Source, "recipients": c.Recipients}
		return jsonTo(plainOrTLS(c.DisableTLS)+server+"/v2/send", body).with("Authorization", authorization)
	})}
}

// larkRoom: https://open.larksuite.com/document/client-docs/bot-v3/add-custom-bot. It answers 200 and a code.
func larkRoom(s *lark.Service) *web {
	c := s.Config
	say := func(ctx context.Context, r caller, m Message) error {
		body := map[string]any{"msg_type": "text", "content": map[string]any{"text": m.Text}}
		if c.Secret != "" {
			stamp := strconv.FormatInt(time.Now().Unix(), 10)
			body["timestamp"] = stamp
			body["sign"] = base64.StdEncoding.EncodeToString(hmac.New(sha256.New, []byte(stamp+"\n"+c.Secret)).Sum(nil))
		}
		var said struct {
			Code *int
			Msg  string
		}
		if err := r.ask(ctx, jsonTo("https://"+c.Host+"/open-apis/bot/v2/hook/"+url.PathEscape(c.Path), body), &said); err != nil {
			return err
		}
		return r.coded(said.Code, said.Msg, 9499, 11232)
	}
	return &web{secrets: secrets{c.Path, c.Secret}, limit: 4096, bytes: 4096, mention: "<at", say: say}
}

// wecomRoom: https://developer.work.weixin.qq.com/document/path/91770. It answers 200 and a code.
func wecomRoom(s *wecom.Service) *web {
	c := s.Config
	say := func(ctx context.Context, r caller, m Message) error {
		text := map[string]any{"content": m.Text}
		if c.MentionedList != "" {
			text["mentioned_list"] = strings.Split(c.MentionedList, ",")
		}
		if c.MentionedMobileList != "" {
			text["mentioned_mobile_list"] = strings.Split(c.MentionedMobileList, ",")
		}
		var said struct {
			Code *int   `json:"errcode"`
			Msg  string `json:"errmsg"`
		}
		target := "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=" + url.QueryEscape(c.Key)
		if err := r.ask(ctx, jsonTo(target, map[string]any{"msgtype": "text", "text": text}), &said); err != nil {
			return err
		}
		return r.coded(said.Code, said.Msg, -1, 45009)
	}
	return &web{secrets: secrets{c.Key}, limit: 2048, bytes: 2048, mention: "<@", say: say}
}

// coded judges a code in an answer: 0 is success, some are temporary (busy, too many), all others are permanent.
func (c caller) coded(code *int, said string, temporary ...int) error {
	switch {
	case code == nil:
		return c.refused("the answer has no code", false)
	case *code == 0:
		return nil
	}
	return c.refused(fmt.Sprintf("%d %s", *code, said), !slices.Contains(temporary, *code))
}
