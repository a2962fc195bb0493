package dkim

import "time"

const (
	MaxSignatures = 10
	MaxKeys       = 10
	LookupTimeout = 15 * time.Second
)

// DefaultHeaders returns the names signed when present.
func DefaultHeaders() []string {
	return []string{"Sender", "References", "In-Reply-To", "List-Unsubscribe", "List-Unsubscribe-Post"}
}

// DefaultOversign returns the names listed once more than present.
func DefaultOversign() []string {
	return []string{"From", "Reply-To", "Subject", "Date", "To", "Cc", "Message-ID", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"}
}
