package config

// CountAuthorities returns how many certificates are read of an authorities'
// file.
func CountAuthorities(content []byte) (int, error) {
	_, err := parseAuthorities([][]byte{content})
	all, _ := blocks(content)
	return len(all), err
}
