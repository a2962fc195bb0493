// Package probe proves paths: a message goes through a server's real MTA, or is sent from a service's console, to an address that only this probe has, and is looked
// at where it arrives. What the intake saw becomes a verdict against what the inventory wants: signed, by which key, aligned, broken where.
//
// It promises that a probe ends: as arrived, as refused by whoever should have sent it, or as lost; that the token which opens its address is kept nowhere but in the
// order that waits for a server's agent; and that a verdict is made from the mail and the keys alone (Judge is pure).
//
// Files in the order of a probe's life: probe.go (the states), ask.go (a person, a schedule or a rotation asks), answer.go (what the agent says of it), tend.go (who is due, who is lost), mail.go (what the intake
// says), judge.go (the verdict), arrive.go (a mail meets its probe), findings.go (what people should know), storage.go (what is needed of a store).
package probe
