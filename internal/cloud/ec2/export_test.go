package ec2

// The parsers, for the fuzz tests.

func ReadAnswer(action string, status int, body []byte) (group, code string, ok bool) {
	a, no := readAnswer(action, status, body)
	if no != nil {
		return "", no.code, false
	}
	for _, g := range a.Groups {
		group = g.Name
	}
	return group, "", true
}

func ReadKeys(text string) (key, secret string, err error) {
	c, err := readKeys(text)
	return c.AccessKeyID, c.SecretAccessKey, err
}

var Strayed = strayed
