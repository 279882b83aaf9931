package apikey

// Seal adds the check characters.
func Seal(s string) string {
	check := keySum(s)
	return s + string(check[:])
}
