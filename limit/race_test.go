//go:build race

package limit_test

const raced = true
