package target

// Read reads a profile as it came.
func Read(b []byte, kind string) (*Profile, error) {
	p, err := parse(b)
	if err != nil {
		return nil, err
	}
	return fold(p, kind, kinds[kind].value)
}
