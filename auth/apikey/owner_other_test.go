//go:build !unix

package apikey_test

import "io/fs"

func owner(fs.FileInfo) string { return "" }
