package chat

// kinds are all services: the form of an address, and what makes a room of one. The forms, except HipChat's, are those
// of the shoutrrr library, whose documentation tells more about each.
func kinds() map[string]kind {
	return map[string]kind{
		"bark":       {"bark://:DEVICEKEY@HOST[/PATH]", read(barkRoom)},
		"discord":    {"discord://TOKEN@WEBHOOKID", read(discordRoom)},
		"generic":    {"generic://HOST/PATH[?template=json][&disabletls=yes] or generic+https://HOST/PATH", readURL(genericRoom)},
		"googlechat": {"googlechat://chat.googleapis.com/v1/spaces/SPACE/messages?key=KEY&token=TOKEN", read(googlechatRoom)},
		"gotify":     {"gotify://HOST/TOKEN", read(gotifyRoom)},
		"hangouts":   {"hangouts://chat.googleapis.com/v1/spaces/SPACE/messages?key=KEY&token=TOKEN", read(googlechatRoom)},
		"hipchat":    {"hipchat://TOKEN@HOST[:PORT]/ROOM[?api=v1][&scheme=http][&from=NAME]", hipchat},
		"ifttt":      {"ifttt://KEY/?events=EVENT", read(iftttRoom)},
		"join":       {"join://shoutrrr:APIKEY@join/?devices=DEVICE", read(joinRoom)},
		"lark":       {"lark://open.larksuite.com/TOKEN[?secret=SECRET]", read(larkRoom)},
		"matrix":     {"matrix://[USER]:PASSWORDORTOKEN@HOST[:PORT]/?rooms=ROOM", matrixRoom},
		"mattermost": {"mattermost://[USER@]HOST[:PORT]/TOKEN[/CHANNEL]", read(mattermostRoom)},
		"notifiarr":  {"notifiarr://APIKEY[?channel=ID]", read(notifiarrRoom)},
		"ntfy":       {"ntfy://[USER:PASSWORD@]HOST/TOPIC", read(ntfyRoom)},
		"opsgenie":   {"opsgenie://HOST/APIKEY", read(opsgenieRoom)},
		"pagerduty":  {"pagerduty://HOST/INTEGRATIONKEY", readURL(pagerdutyRoom)},
		"pushbullet": {"pushbullet://TOKEN/DEVICE", read(pushbulletRoom)},
		"pushover":   {"pushover://shoutrrr:TOKEN@USER", read(pushoverRoom)},
		"rocketchat": {"rocketchat://[USER@]HOST[:PORT]/TOKENA/TOKENB[/CHANNEL]", readURL(rocketchatRoom)},
		"signal":     {"signal://[USER:PASSWORD@]HOST[:PORT]/SOURCE/RECIPIENT", read(signalRoom)},
		"slack":      {"slack://hook:A-B-C@webhook or slack://xoxb:A-B-C@CHANNEL", read(slackRoom)},
		"smtp":       {"smtp://[USER:PASSWORD@]HOST[:PORT]/?from=ADDRESS&to=ADDRESS", read(mailRoom)},
		"teams":      {"teams://GROUP@TENANT/ALTID/OWNER/EXTRA?host=NAME.webhook.office.com", read(teamsRoom)},
		"telegram":   {"telegram://ID:TOKEN@telegram?chats=CHAT", read(telegramRoom)},
		"wecom":      {"wecom://KEY", read(wecomRoom)},
		"zulip":      {"zulip://BOT:KEY@HOST/?stream=NAME&topic=TOPIC", readURL(zulipRoom)},
	}
}
