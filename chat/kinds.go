package chat

// kinds are all services: how an address looks, and what makes a room of it. The forms, but for HipChat's, are those of
// the shoutrrr library, whose documents tell more about each.
func kinds() map[string]kind {
	return map[string]kind{
		"bark":       {"bark://:DEVICEKEY@HOST[/PATH]", barkRoom},
		"discord":    {"discord://TOKEN@WEBHOOKID", discordRoom},
		"generic":    {"generic://HOST/PATH[?template=json][&disabletls=yes] or generic+https://HOST/PATH", genericRoom},
		"googlechat": {"googlechat://chat.googleapis.com/v1/spaces/SPACE/messages?key=KEY&token=TOKEN", googlechatRoom},
		"gotify":     {"gotify://HOST/TOKEN", gotifyRoom},
		"hangouts":   {"hangouts://chat.googleapis.com/v1/spaces/SPACE/messages?key=KEY&token=TOKEN", googlechatRoom},
		"hipchat":    {"hipchat://TOKEN@HOST[:PORT]/ROOM[?api=v1][&scheme=http][&from=NAME]", hipchat},
		"ifttt":      {"ifttt://KEY/?events=EVENT", iftttRoom},
		"join":       {"join://shoutrrr:APIKEY@join/?devices=DEVICE", joinRoom},
		"lark":       {"lark://open.larksuite.com/TOKEN[?secret=SECRET]", larkRoom},
		"matrix":     {"matrix://[USER]:PASSWORDORTOKEN@HOST[:PORT]/?rooms=ROOM", matrixRoom},
		"mattermost": {"mattermost://[USER@]HOST[:PORT]/TOKEN[/CHANNEL]", mattermostRoom},
		"notifiarr":  {"notifiarr://APIKEY[?channel=ID]", notifiarrRoom},
		"ntfy":       {"ntfy://[USER:PASSWORD@]HOST/TOPIC", ntfyRoom},
		"opsgenie":   {"opsgenie://HOST/APIKEY", opsgenieRoom},
		"pagerduty":  {"pagerduty://HOST/INTEGRATIONKEY", pagerdutyRoom},
		"pushbullet": {"pushbullet://TOKEN/DEVICE", pushbulletRoom},
		"pushover":   {"pushover://shoutrrr:TOKEN@USER", pushoverRoom},
		"rocketchat": {"rocketchat://[USER@]HOST[:PORT]/TOKENA/TOKENB[/CHANNEL]", rocketchatRoom},
		"signal":     {"signal://[USER:PASSWORD@]HOST[:PORT]/SOURCE/RECIPIENT", signalRoom},
		"slack":      {"slack://hook:A-B-C@webhook or slack://xoxb:A-B-C@CHANNEL", slackRoom},
		"smtp":       {"smtp://[USER:PASSWORD@]HOST[:PORT]/?from=ADDRESS&to=ADDRESS", mailRoom},
		"teams":      {"teams://GROUP@TENANT/ALTID/OWNER/EXTRA?host=NAME.webhook.office.com", teamsRoom},
		"telegram":   {"telegram://ID:TOKEN@telegram?chats=CHAT", telegramRoom},
		"wecom":      {"wecom://KEY", wecomRoom},
		"zulip":      {"zulip://BOT:KEY@HOST/?stream=NAME&topic=TOPIC", zulipRoom},
	}
}
