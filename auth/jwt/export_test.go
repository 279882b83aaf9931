package jwt

// CacheLen returns how many tokens a verifier remembers.
func CacheLen(v *Verifier) int {
	v.cache.mu.RLock()
	defer v.cache.mu.RUnlock()
	return len(v.cache.m)
}

// ParseSet reads a key set and returns how many keys are used and skipped.
func ParseSet(data []byte) (used, skipped int, err error) {
	s, err := parseSet(data)
	if err != nil {
		return 0, 0, err
	}
	return len(s.keys), len(s.skipped), nil
}
