//go:build race

package adaptive_test

const raced = true
