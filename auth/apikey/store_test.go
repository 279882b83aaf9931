package apikey_test

import (
	"path/filepath"
	"testing"

	"github.com/aguada-dev/aguada/auth/apikey"
	"github.com/aguada-dev/aguada/auth/apikey/apikeytest"
)

func TestMemory(t *testing.T) {
	apikeytest.Run(t, apikeytest.Config{}, func(*testing.T) apikeytest.Store { return &apikey.Memory{} })
}

func TestFileStore(t *testing.T) {
	apikeytest.Run(t, apikeytest.Config{ForgetsUses: true}, func(t *testing.T) apikeytest.Store {
		return apikey.NewFileStore(filepath.Join(t.TempDir(), "keys.json"))
	})
}
