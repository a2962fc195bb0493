package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Seal sets Prev and Hash of an entry that follows the one with hash prev ("" for the first).
// The hash covers every other field, times in microseconds UTC.
func Seal(prev string, e *Entry) error {
	e.Prev, e.Hash = prev, ""
	sum, err := digest(*e)
	if err != nil {
		return err
	}
	e.Hash = sum
	return nil
}

// Check verifies that entries follow one another without gap or change. prev is the hash before the first.
func Check(prev string, entries []Entry) error {
	for i, e := range entries {
		if e.Prev != prev {
			return fmt.Errorf("journal entry %d does not follow the one before it", e.Seq)
		}
		if i > 0 && e.Seq != entries[i-1].Seq+1 {
			return fmt.Errorf("journal entries between %d and %d are missing", entries[i-1].Seq, e.Seq)
		}
		want := e.Hash
		e.Hash = ""
		got, err := digest(e)
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("journal entry %d was changed", e.Seq)
		}
		prev = want
	}
	return nil
}

func digest(e Entry) (string, error) {
	e.At = e.At.UTC().Truncate(1000) // microseconds, as stores keep them
	raw, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("journal entry %d: %w", e.Seq, err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:]), nil
}
