//go:build !linux && !darwin

package main

// takeForeground does nothing here.
func takeForeground() (release func()) { return func() {} }
