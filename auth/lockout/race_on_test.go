//go:build race

package lockout_test

const raced = true // by the race detector, which takes time and memory of its own
