//go:build !race

package basic_test

const raced = false
