package lifecycle

import "fmt"

// abandon takes a key away that never signed mail: nothing can depend on it, so its record need not be kept.
func (l *line) abandon(k *Key, why string) {
	if k.Record.Pending && k.Record.Want == "" {
		l.revoked(k)
		return
	}
	l.step(StepRemove, k, fmt.Sprintf("%s; it never signed mail", why))
}
