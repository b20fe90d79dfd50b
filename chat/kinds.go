package chat

// kinds are all services. What only they have in common with each other is in post.go.
func kinds() map[string]kind {
	return map[string]kind{
		"hipchat": {"hipchat://TOKEN@HOST[:PORT]/ROOM[?api=v1][&scheme=http][&from=NAME]", hipchat},
	}
}
