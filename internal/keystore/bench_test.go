package keystore

import (
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkMiss is what a key costs that is not in memory, and its parts.
func BenchmarkMiss(b *testing.B) {
	s := openStore(b, filepath.Join(b.TempDir(), "keys"), 1)
	if _, err := s.Generate("k", RSA2048); err != nil {
		b.Fatal(err)
	}
	path, _ := s.path("k")
	der, err := s.read("k", path)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Signer("k"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("file", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := os.ReadFile(path); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.read("k", path); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := parseKey("k", der); err != nil {
				b.Fatal(err)
			}
		}
	})
}
