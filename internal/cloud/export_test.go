package cloud

// The parsers, for the fuzz test.
func ReadSpot(text string) (string, error)  { return spotNotice(text) }
func ReadGroup(text string) (string, error) { return groupNotice(text) }
