package lifecycle

import "fmt"

// abandon takes a key away that never signed mail: nothing can depend on it, so its record need not be kept.
func (l *line) abandon(k *Key, why string) {
	if !l.awaitedRemoval(k) {
		l.step(StepRemove, k, fmt.Sprintf("%s; it never signed mail", why))
	}
}

// awaitedRemoval plans a removal that was asked of a person; false when none was.
func (l *line) awaitedRemoval(k *Key) bool {
	return l.awaited(k, "", StepRemove, "the record is gone, as was asked for", "waiting for a person to delete the record")
}
