//go:build !race

package proved

const raced = false
