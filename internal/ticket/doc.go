// Package ticket asks people for changes of DNS: all open changes of one owner of zones are one ticket, with a text to mail or to paste, the records in
// zone-file form, click steps for the owner's console, reminders and an expiry.
//
// Nothing here says that a change is done. What is open and what is done, the records say, and they say it by what every authoritative server shows (see
// docs/decisions/0002-pending-changes.md). A ticket adds what they cannot know: since when a change has been asked for, in which ticket, and who was
// reminded when. An expired ticket undoes nothing: it is shown as an error, and the first look that shows the record completes it all the same.
//
// Files in the order of the flow: change.go (what a person is asked for), ticket.go (the ticket), tend.go (what becomes of it as time passes; pure),
// keep.go (the loop's step: storage, journal, log), condition.go (what people should know of it); console.go (how the consoles of DNS hosts want
// records), words.go (what a change is and why, in plain words), text.go, mail.go, zone.go and steps.go (the four forms).
package ticket
