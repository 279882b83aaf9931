package store

import (
	"path/filepath"
	"testing"
)

// BenchmarkOpen is the store's share of a start with the file present.
func BenchmarkOpen(b *testing.B) {
	url := "sqlite:" + filepath.Join(b.TempDir(), "x.db")
	for b.Loop() {
		s, err := Open(b.Context(), url, Config{})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkInsert(b *testing.B) {
	s := open(b, "sqlite:"+filepath.Join(b.TempDir(), "x.db"))
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Insert(b.Context(), sample("alice")); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOrder(b *testing.B) {
	s := open(b, "sqlite:"+filepath.Join(b.TempDir(), "x.db"))
	o := sample("alice")
	if err := s.Insert(b.Context(), o); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Order(b.Context(), Reach{Owner: "alice"}, o.ID); err != nil {
			b.Fatal(err)
		}
	}
}
