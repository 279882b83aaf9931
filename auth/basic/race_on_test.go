//go:build race

package basic_test

const raced = true // by the race detector, which takes time and memory of its own
