//go:build !unix

package jwt_test

import "errors"

func pipe(string) error { return errors.ErrUnsupported }

func folder(string) error { return errors.ErrUnsupported }

func swap(string, string) error { return errors.ErrUnsupported }
