package cloud

// The parsers, for the fuzz test.
func ReadSpot(text string) (Notice, error)  { return spotNotice(text) }
func ReadGroup(text string) (Notice, error) { return groupNotice(text) }
